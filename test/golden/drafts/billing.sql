-- Billing with customers of customers: accounts and customers are the tenant's, and their numbers are no tenants.
create table tenants (record_id bigserial primary key, id text not null unique, external_key text, api_key text, api_secret text, api_salt text,
  created_date timestamp not null);
create table accounts (record_id bigserial primary key, id text not null unique, tenant_record_id bigint not null, name text, currency char(3),
  payment_method_id text, created_date timestamp not null);
create table customers (id uuid primary key, account_record_id bigint not null, tenant_record_id bigint not null, name text not null, metadata jsonb);
create table invoices (record_id bigserial primary key, id text not null unique, account_id text not null, account_record_id bigint not null,
  tenant_record_id bigint not null, total numeric(15,9) not null, created_date timestamp not null);
create table invoice_items (record_id bigserial primary key, id text not null unique, invoice_id text not null, account_id text not null,
  amount numeric(15,9), tenant_record_id bigint not null);
create table payment_attempts (id text primary key, account_id text not null, attempt integer not null);
create table credit_notes (id uuid primary key, customer_id uuid not null references customers, total numeric not null);
create table payment_providers (id uuid primary key, tenant_record_id bigint not null, type text not null, secrets text, settings jsonb not null, webhook_secret text);
create table api_keys (id uuid primary key, tenant_record_id bigint not null, value varchar not null unique, api_key_id uuid, last_used_at timestamp);
create table webhook_endpoints (id uuid primary key, tenant_record_id bigint not null, url text not null, hmac_key text, signature_algo integer not null);
create table node_infos (record_id serial primary key, node_name text not null);
