-- Signing of documents in the way of Prisma: quoted names in camelCase, foreign keys, teams between organisation and document, and
-- NextAuth's tables, of which "Account" is a login and no customer.
create type "Role" as enum ('ADMIN', 'MEMBER');
create table "User" (id serial primary key, email text not null unique, password text, "twoFactorSecret" text, "twoFactorEnabled" boolean not null default false,
  "twoFactorBackupCodes" text, "createdAt" timestamp(3) not null default now());
create table "Account" (id text primary key, "userId" integer not null references "User", type text not null, provider text not null,
  "providerAccountId" text not null, refresh_token text, access_token text, unique (provider, "providerAccountId"));
create table "Session" (id text primary key, "sessionToken" text not null unique, "userId" integer not null references "User", expires timestamp(3) not null);
create table "Organisation" (id text primary key, name text not null, url text not null unique, "ownerUserId" integer not null references "User",
  "customerId" text unique, "createdAt" timestamp(3) not null default now());
create table "OrganisationMember" (id text primary key, "userId" integer not null references "User", "organisationId" text not null references "Organisation",
  role "Role" not null, "createdAt" timestamp(3) not null default now());
create table "Team" (id serial primary key, name text not null, "organisationId" text not null references "Organisation",
  "createdAt" timestamp(3) not null default now());
create table "TeamEmail" ("teamId" integer primary key references "Team", email text not null);
create table "Webhook" (id text primary key, "webhookUrl" text not null, secret text, "clientSecret" text, "organisationId" text not null references "Organisation",
  enabled boolean not null default true, "createdAt" timestamp(3) not null default now(), "deletedAt" timestamp(3));
create table "WebhookCall" (id text primary key, "webhookId" text not null references "Webhook", "requestBody" jsonb not null);
create table "ApiToken" (id serial primary key, name text not null, token text not null unique, algorithm text not null, expires timestamp(3),
  "organisationId" text not null references "Organisation", "teamId" integer references "Team");
create table "Envelope" (id text primary key, title text not null, "teamId" integer not null references "Team", "userId" integer not null references "User");
create table "Field" (id serial primary key, "envelopeId" text not null references "Envelope", "customText" text not null);
create table "Transfer" (id serial primary key, "fromOrganisationId" text not null references "Organisation", "toOrganisationId" text not null references "Organisation");
create table "SigningKey" (id text primary key, "organisationId" text references "Organisation", "privateKey" text not null, "publicKey" text not null,
  "keyId" text not null, "tokenCount" integer not null, "isSecret" boolean not null);
create table "VerificationToken" (identifier text not null, token text primary key, "organisationId" text not null references "Organisation");
create table "Counter" (id text, "organisationId" text not null references "Organisation", last integer not null);
