-- A help desk in the way of Rails: no foreign key constraints, tables that belong to a parent, polymorphic records.
create table accounts (id serial primary key, name text not null, domain text, settings jsonb, created_at timestamp not null);
create table users (id serial primary key, email text not null, encrypted_password text not null, reset_password_token text,
  tokens json, pubsub_token text, otp_secret text, otp_backup_codes text[], otp_required_for_login boolean not null, otp_code integer,
  sign_in_count integer not null, password_changed_at timestamp, created_at timestamp not null);
create table account_users (id bigserial primary key, account_id bigint, user_id bigint, role integer not null, inviter_id bigint);
create table teams (id bigserial primary key, account_id bigint not null, name text not null);
create table team_members (id bigserial primary key, team_id bigint not null, user_id bigint not null);
create table inboxes (id serial primary key, account_id integer not null, name text not null, channel_id integer, channel_type text,
  lock_to_single_conversation boolean not null, csat_config jsonb, hmac_mandatory boolean);
create table channel_web_widgets (id serial primary key, account_id integer not null, website_token text, hmac_token text, website_url text);
create table channel_emails (id bigserial primary key, account_id integer not null, email text not null, imap_password text,
  provider_config jsonb, smtp_login text, imap_enabled boolean);
create table conversations (id serial primary key, account_id integer not null, inbox_id integer not null, team_id bigint, status integer not null,
  "display_id" integer not null, additional_attributes jsonb, created_at timestamp not null, archived_at timestamp);
create table messages (id serial primary key, account_id integer not null, conversation_id integer not null, content text, private boolean not null,
  content_attributes json, sender_type text, sender_id bigint, created_at timestamp not null, deleted_at timestamp);
create table attachments (id serial primary key, message_id integer not null, file_type integer, external_url text);
create table attachment_previews (id serial primary key, attachment_id integer not null, width integer);
create table taggings (id serial primary key, tag_id integer, taggable_type text not null, taggable_id integer not null);
create table access_tokens (id bigserial primary key, owner_type text, owner_id bigint, token text);
create table agent_bots (id bigserial primary key, account_id bigint, name text, outgoing_url text, bot_config jsonb, secret text, is_secret boolean);
create table oauth_grants (id bigserial primary key, client_id text not null, account_id text not null, code text);
create table currencies (code text primary key, name text not null);
create table schema_migrations (version varchar primary key);
