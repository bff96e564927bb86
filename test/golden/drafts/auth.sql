-- Logins of organisations' users: most of it is secret, also under harmless names.
create table organizations (id uuid primary key, name text not null, created_at timestamptz not null);
create table users (id uuid primary key, organization_id uuid not null references organizations, email text, encrypted_password text,
  confirmation_token text, recovery_token text, phone_change_token varchar, raw_app_meta_data jsonb, raw_user_meta_data jsonb, is_super_admin boolean,
  password_attempts integer, last_sign_in_at timestamptz, created_at timestamptz, deleted_at timestamptz);
create table identities (id uuid primary key, user_id uuid not null references users, provider text not null, identity_data jsonb not null);
create table sessions (id uuid primary key, organization_id uuid not null references organizations, user_id uuid not null references users, not_after timestamptz);
create table web_sessions (sid text primary key, organization_id uuid not null references organizations, sess json not null);
create table mfa_factors (id uuid primary key, organization_id uuid not null references organizations, friendly_name text, factor_type text not null,
  secret text, phone text, web_authn_credential jsonb, created_at timestamptz not null);
create table oauth_clients (id uuid primary key, organization_id uuid references organizations, client_id text not null unique,
  client_secret_hash text not null, client_name text, redirect_uris text[], token_count bigint, require_secret boolean);
create table oauth_authorizations (id uuid primary key, client_id text not null, user_id uuid not null references users, authorization_code text, code_challenge text);
create table saml_providers (id uuid primary key, organization_id uuid not null references organizations, entity_id text not null, metadata_xml text not null,
  attribute_mapping jsonb, private_key_pem text);
create table audit_log_entries (id uuid primary key, payload json, created_at timestamptz, ip_address varchar not null);
create table tenants_by_host (host text primary key, organization_uuid uuid not null);
