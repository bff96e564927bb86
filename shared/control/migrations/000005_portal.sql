-- The dashboard: links that the product's backend makes, and the sessions of those who are in.

create table portal_links (
  id              text primary key,
  account_id      text not null references accounts on delete cascade,
  -- The code itself is not stored.
  code_hash       bytea not null unique,
  scopes          text[] not null,
  -- The page that the link leads to: a path of the dashboard.
  next            text not null,
  -- Null: as the browser prefers.
  theme           text,
  locale          text,
  hide_navigation boolean not null,
  created_at      timestamptz not null default now(),
  expires_at      timestamptz not null,
  used_at         timestamptz
);
comment on table portal_links is 'Links into the dashboard of an account. Each opens one session.';
create index on portal_links (account_id, expires_at);
create index on portal_links (expires_at);

create table portal_sessions (
  id              text primary key,
  account_id      text not null references accounts on delete cascade,
  -- The token itself is only in the browser's cookie.
  token_hash      bytea not null unique,
  scopes          text[] not null,
  -- The key that opened it: the session ends when that is revoked. Null: a link opened it.
  key_id          text references api_keys on delete cascade,
  theme           text,
  locale          text,
  hide_navigation boolean not null,
  -- Opened within a frame of another page: its cookie is for that page alone.
  is_framed       boolean not null,
  created_at      timestamptz not null default now(),
  last_seen_at    timestamptz not null default now(),
  expires_at      timestamptz not null,
  revoked_at      timestamptz
);
comment on table portal_sessions is 'Sessions of the dashboard. Each request looks its session up.';
create index on portal_sessions (account_id, created_at desc, id desc);
create index on portal_sessions (expires_at);
