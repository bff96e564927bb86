-- Tandem's control store. Positions are (commit_lsn, idx); LSNs are pg_lsn so that the database compares them.

create table accounts (
  id                  text primary key,
  name                text not null,
  -- The value of the catalog's account column, in its PostgreSQL text form.
  source_id           text not null unique,
  max_running_exports integer not null default 3 check (max_running_exports between 1 and 10),
  -- Set by the account's first export: from here on every change of this account is recorded (see services/README.md).
  recorded_from_lsn   pg_lsn,
  created_at          timestamptz not null default now()
);

create table api_keys (
  id         text primary key,
  account_id text not null references accounts on delete cascade,
  name       text,
  key_hash   bytea not null unique,
  scopes     text[] not null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);
create index on api_keys (account_id);

-- `response` is null while the first request is still in flight.
create table idempotency_keys (
  account_id   text not null,
  route        text not null,
  key          text not null,
  request_hash bytea not null,
  response     jsonb,
  created_at   timestamptz not null default now(),
  expires_at   timestamptz not null,
  primary key (account_id, route, key)
);
create index on idempotency_keys (expires_at);

-- What must reach Kafka because a row here was committed. Relayed in order of id, then deleted.
create table outbox (
  id         bigint generated always as identity primary key,
  topic      text not null,
  key        text not null,
  type       text not null,
  payload    jsonb not null,
  created_at timestamptz not null default now()
);

create table exports (
  id                text primary key,
  -- Null: all accounts at once, for the operator only.
  account_id        text references accounts,
  request           jsonb not null,
  resources         text[] not null,
  status            text not null check (status in
                      ('pending', 'running', 'cancelling', 'completed', 'failed', 'cancelled', 'expired')),
  phase             text not null check (phase in
                      ('queued', 'waiting_for_feed', 'extracting', 'assembling', 'done')),
  -- Counts every claim of the export or of one of its chunks, so that a higher number is always the later try.
  attempt           integer not null default 0,
  -- The value of `attempt` when the present snapshot was taken; chunks of an earlier run are stale.
  run_attempt       integer not null default 0,
  run_count         integer not null default 0,
  lease_owner       text,
  lease_expires_at  timestamptz,
  rows_estimated    bigint,
  rows_extracted    bigint not null default 0,
  rows_written      bigint not null default 0,
  -- The hand-off: the snapshot, and the feed position settled before it was taken.
  snapshot          jsonb,
  start_lsn         pg_lsn,
  -- The feed has to pass this message before the export may be published (the seal).
  seal_token        text,
  sealed_lsn        pg_lsn,
  -- All chunks of all resources are known.
  planned_at        timestamptz,
  files             jsonb,
  error             jsonb,
  created_at        timestamptz not null default clock_timestamp(),
  started_at        timestamptz,
  completed_at      timestamptz,
  expires_at        timestamptz
);
create index on exports (account_id, created_at desc, id desc);
create index on exports (status, created_at) where status in ('pending', 'running', 'cancelling');

create table export_chunks (
  export_id        text not null references exports on delete cascade,
  resource         text not null,
  chunk            integer not null,
  run_attempt      integer not null,
  -- The try that holds the chunk now; rows of an earlier try are stale.
  attempt          integer not null default 0,
  state            text not null check (state in ('planned', 'reading', 'extracted')),
  snapshot_name    text not null,
  -- Key bounds as PostgreSQL texts in key order: lower exclusive, upper inclusive, null for open.
  lower_key        text[],
  upper_key        text[],
  lease_owner      text,
  lease_expires_at timestamptz,
  -- Counted by the snapshot's own cursor while planning.
  rows_planned     bigint not null,
  rows_extracted   bigint not null default 0,
  -- Set once by the writer, with the part's fsync behind it.
  rows_written     bigint,
  part_name        text,
  bytes_written    bigint,
  primary key (export_id, resource, chunk)
);
create index on export_chunks (state, lease_expires_at) where state in ('planned', 'reading');

-- One row: how far the feed has come. A mirror of what capture commits with its changes.
create table feed_state (
  id          boolean primary key default true check (id),
  -- Every transaction at or before this LSN is visible to every snapshot taken from now on.
  settled_lsn pg_lsn not null,
  -- Every transaction at or before this LSN is in the changes topic.
  passed_lsn  pg_lsn not null,
  system_id   text not null,
  timeline    integer not null,
  updated_at  timestamptz not null
);

-- Partitioned by day of the commit; `payload` is the exact JSON text that is delivered and signed.
create table events (
  commit_lsn   pg_lsn not null,
  idx          integer not null,
  account_id   text not null,
  xid          bigint not null,
  type         text not null,
  resource     text not null,
  record_key   text not null,
  committed_at timestamptz not null,
  payload      text not null,
  primary key (commit_lsn, idx, committed_at)
) partition by range (committed_at);
create index on events (account_id, commit_lsn, idx);

create table webhooks (
  id                 text primary key,
  account_id         text not null references accounts on delete cascade,
  url                text not null,
  events             text[] not null,
  description        text,
  headers            jsonb not null default '{}',
  max_in_flight      integer not null default 20,
  batch              jsonb,
  rate_limit         integer,
  status             text not null check (status in ('active', 'paused', 'disabled')),
  status_reason      text,
  -- Encrypted secrets, newest first: [{ciphertext, expires_at}]
  secrets            jsonb not null,
  start              jsonb not null,
  -- Events visible in this snapshot are skipped up to `handoff_until_lsn` (the seal). Null: no hand-off.
  handoff_snapshot   text,
  handoff_until_lsn  pg_lsn,
  -- Low-water mark: every event at or before it is delivered, parked or not wanted; `done` lists later ones that are.
  cursor_lsn         pg_lsn not null,
  cursor_idx         integer not null,
  done               text[] not null default '{}',
  -- Circuit breaker.
  failures_in_row    integer not null default 0,
  failing_since      timestamptz,
  rest_until         timestamptz,
  lease_owner        text,
  lease_expires_at   timestamptz,
  created_at         timestamptz not null default now(),
  updated_at         timestamptz not null default now()
);
create index on webhooks (account_id, created_at desc, id desc);
create index on webhooks (status, lease_expires_at);

-- Events that failed at least once, or wait for one of the same record that did. `dead` ones are kept for redelivery.
create table webhook_parked (
  webhook_id      text not null references webhooks on delete cascade,
  commit_lsn      pg_lsn not null,
  idx             integer not null,
  committed_at    timestamptz not null,
  record_key      text not null,
  attempt_count   integer not null default 0,
  -- Null while it only waits for its predecessor.
  next_attempt_at timestamptz,
  last_error      jsonb,
  state           text not null check (state in ('waiting', 'dead')),
  parked_at       timestamptz not null default now(),
  primary key (webhook_id, commit_lsn, idx)
);
create index on webhook_parked (webhook_id, next_attempt_at) where state = 'waiting';

create table webhook_attempts (
  id          bigint generated always as identity primary key,
  webhook_id  text not null references webhooks on delete cascade,
  event_id    text not null,
  attempt     integer not null,
  started_at  timestamptz not null,
  duration_ms integer not null,
  status      integer,
  outcome     text not null,
  excerpt     text
);
create index on webhook_attempts (webhook_id, id desc);
create index on webhook_attempts (started_at);
