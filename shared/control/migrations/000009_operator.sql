-- What the operator looks at, and how the operator gets into the dashboard.

create table processes (
  id         text primary key,
  service    text not null,
  version    text not null,
  host       text not null,
  pid        integer not null,
  started_at timestamptz not null default now(),
  -- Renewed every few seconds. A row that is not was left behind by a process that died.
  seen_at    timestamptz not null default now(),
  is_ready   boolean not null
) with (fillfactor = 50);
comment on table processes is
  'Processes of the services. Each renews its row, and removes it when it ends. Capture has one only where it needs the control store.';

create table operator_sessions (
  id           text primary key,
  -- The token itself is only in the browser's cookie.
  token_hash   bytea not null unique,
  -- Of the operator's key that opened it: with another key the session is over.
  key_hash     bytea not null,
  -- Null: as the browser prefers.
  locale       text,
  created_at   timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  expires_at   timestamptz not null,
  revoked_at   timestamptz
);
comment on table operator_sessions is
  'The operator''s sessions of the dashboard. They are of no account, and sessions of accounts are none of these.';
create index on operator_sessions (created_at desc, id desc);
create index on operator_sessions (expires_at);
