-- Tandem's control store: the tables that the services share. They hold the truth about every export, bulk job, event and
-- webhook endpoint; Kafka only carries notifications of it.
--
-- A position in the feed is (commit_lsn, idx). LSNs have the type pg_lsn, so the database compares them. A lease is an
-- owner (`lease_owner`) and an end (`lease_expires_at`). After its end another process may claim the row. The states and
-- the events that move them are in shared/control/state-machines.ts.
--
-- Applied files never change. A later change of the schema is a file of its own, with the next number.

-- Accounts and access

create table accounts (
  id                  text primary key,
  name                text not null,
  -- The value of the catalog's account column, as PostgreSQL prints it.
  source_id           text not null unique,
  max_running_exports integer not null default 3 check (max_running_exports between 1 and 10),
  -- The account's first export sets it. Every later change of the account is recorded in `events`.
  recorded_from_lsn   pg_lsn,
  created_at          timestamptz not null default now(),
  max_running_bulk    integer not null default 3 check (max_running_bulk between 1 and 10),
  -- Items that may be processed in a period. Null: no quota.
  bulk_quota          bigint check (bulk_quota >= 0),
  -- The same moment as `recorded_from_lsn`, by the source's clock. An as-of export cannot go back beyond it.
  recorded_from_at    timestamptz,
  -- A `QuotaPeriod` of shared/domain/quota-period.ts.
  bulk_quota_period   jsonb not null default '"month"',
  -- An earlier `source_id` that PostgreSQL does not print that way, so no change was recorded under it. Kept until the
  -- account's subscribers are sure to learn that they must load everything again.
  respelled_from      text,
  -- Another account that already has this account's text. Both stand for the same rows, so this account is unusable.
  twin_of             text
);
comment on table accounts is 'A customer of the product: which source rows are theirs, and what they may run at once.';
create index on accounts (id) where recorded_from_at is null;
create index on accounts (id) where respelled_from is not null;

create table api_keys (
  id         text primary key,
  account_id text not null references accounts on delete cascade,
  name       text,
  -- The key itself is not stored.
  key_hash   bytea not null unique,
  scopes     text[] not null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);
comment on table api_keys is 'Keys that authenticate requests of an account.';
create index on api_keys (account_id);

create table idempotency_keys (
  account_id   text not null,
  route        text not null,
  key          text not null,
  -- A second request with the same key and another body is refused.
  request_hash bytea not null,
  -- Null while the first request is in flight.
  response     jsonb,
  created_at   timestamptz not null default now(),
  expires_at   timestamptz not null,
  -- The export or bulk job that the request created. Its key does not expire before it has ended.
  job_id       text,
  primary key (account_id, route, key)
);
comment on table idempotency_keys is 'Idempotency-Key headers and the response that a repeated request gets again.';
create index on idempotency_keys (expires_at);
create index on idempotency_keys (job_id) where job_id is not null;

create table audit_log (
  id         bigint generated always as identity primary key,
  at         timestamptz not null default clock_timestamp(),
  -- Null: all accounts at once.
  account_id text,
  -- `operator`, the ID of an API key, or `link` for a presigned URL, which works for anyone who has it.
  actor      text not null,
  action     text not null,
  -- Not a foreign key, because the entry outlives its subject.
  subject_id text not null,
  details    jsonb not null default '{}'
);
comment on table audit_log is 'Who created exports, downloaded their files and managed keys.';
create index on audit_log (at desc, id desc);
create index on audit_log (account_id, at desc, id desc);
create index on audit_log (subject_id, at desc, id desc);

create table outbox (
  id         bigint generated always as identity primary key,
  topic      text not null,
  key        text not null,
  -- The message's record name in schemas/avro.
  type       text not null,
  payload    jsonb not null,
  created_at timestamptz not null default now()
);
comment on table outbox is
  'Messages to Kafka, committed with the rows that they announce. The api relays them in order of id and deletes them.';

-- Exports

create table exports (
  id                        text primary key,
  -- Null: all accounts at once, for the operator only.
  account_id                text references accounts,
  -- What the customer asked for, with the casing of the API.
  request                   jsonb not null,
  resources                 text[] not null,
  status                    text not null check (status in
                              ('pending', 'running', 'cancelling', 'completed', 'failed', 'cancelled', 'expired')),
  phase                     text not null check (phase in
                              ('queued', 'waiting_for_feed', 'extracting', 'assembling', 'done')),
  -- Counts every claim of the export or of one of its chunks, so a higher number is always the later attempt.
  attempt                   integer not null default 0,
  -- The value of `attempt` at the current snapshot. Chunks and keys of an earlier run are stale.
  run_attempt               integer not null default 0,
  run_count                 integer not null default 0,
  -- The extractor that holds the snapshot.
  lease_owner               text,
  lease_expires_at          timestamptz,
  rows_estimated            bigint,
  rows_extracted            bigint not null default 0,
  rows_written              bigint not null default 0,
  -- The hand-off: the snapshot, and the settled feed position from before it.
  snapshot                  jsonb,
  start_lsn                 pg_lsn,
  -- The run's seal, a barrier message in the WAL. The export is published after the feed has passed it.
  seal_token                text,
  sealed_lsn                pg_lsn,
  -- When all chunks of all resources were known.
  planned_at                timestamptz,
  files                     jsonb,
  error                     jsonb,
  created_at                timestamptz not null default clock_timestamp(),
  started_at                timestamptz,
  completed_at              timestamptz,
  expires_at                timestamptz,
  -- The writer that assembles the files. Its lease is separate, because it overlaps with the extractor's for a moment.
  assembly_owner            text,
  assembly_lease_expires_at timestamptz,
  -- Attempts to assemble. An export whose writers keep dying fails.
  assembly_count            integer not null default 0,
  -- When the account was told that the export is about to expire.
  expiry_told_at            timestamptz,
  files_removed_at          timestamptz,
  -- The server of the snapshot. Positions and transaction IDs of two servers cannot be compared.
  system_id                 text,
  timeline                  integer,
  -- Rows of `export_keys` exist. They are deleted in batches after the export ends.
  has_keys                  boolean not null default false,
  -- As-of exports: commits at or after it are not in the files. A later request for the same moment gets the same cut.
  cut_lsn                   pg_lsn,
  -- The resources' tables under the snapshot, by resource. A changes-since export compares its own tables with them.
  table_forms               jsonb
);
comment on table exports is 'One export: its request, its snapshot, its progress, and its files once it is completed.';
create index on exports (account_id, created_at desc, id desc);
create index on exports (status, created_at) where status in ('pending', 'running', 'cancelling');
create index on exports (expires_at) where status = 'completed';
create index on exports (id) where status = 'expired' and files_removed_at is null;
create index on exports (id) where has_keys;
create index on exports (account_id) where cut_lsn is not null;

create table export_chunks (
  export_id        text not null references exports on delete cascade,
  resource         text not null,
  chunk            integer not null,
  run_attempt      integer not null,
  -- The attempt that holds the chunk. Rows of an earlier one are stale.
  attempt          integer not null default 0,
  state            text not null check (state in ('planned', 'reading', 'extracted')),
  -- The exported snapshot that every reader imports.
  snapshot_name    text not null,
  -- Bounds as PostgreSQL texts of the key's columns, in key order: lower exclusive, upper inclusive, null for open.
  lower_key        text[],
  upper_key        text[],
  lease_owner      text,
  lease_expires_at timestamptz,
  -- Counted by the snapshot's own cursor.
  rows_planned     bigint not null,
  rows_extracted   bigint not null default 0,
  -- Set once by the writer, after the part's fsync.
  rows_written     bigint,
  part_name        text,
  bytes_written    bigint,
  -- Claims that neither finished nor gave the chunk back. A row that kills its reader must not do so for ever.
  tries            integer not null default 0,
  -- The registry's ID of the schema of the chunk's rows.
  schema_id        integer,
  primary key (export_id, resource, chunk)
);
comment on table export_chunks is
  'A range of one resource''s keys: one extractor reads it, and one writer stores its rows as a part.';
create index on export_chunks (state, lease_expires_at) where state in ('planned', 'reading');

create table export_keys (
  export_id   text not null references exports on delete cascade,
  run_attempt integer not null,
  resource    text not null,
  -- From 0, in key order.
  place       bigint not null,
  -- A JSON array of the key columns' wire texts, as in `events`.
  record_key  text not null,
  -- The chunk that has the row. Null: the snapshot does not have the key.
  chunk       integer,
  -- The remaining columns are those of as-of exports, except was_in.
  -- The event that describes the record at the cut: the first event after it, or the last before it.
  event_lsn   pg_lsn,
  event_idx   integer,
  event_at    timestamptz,
  -- The record at the cut, as a JSON array of wire texts. Null: it did not exist, or is not known yet.
  image       text,
  is_known    boolean,
  -- Whether the export contains the record.
  is_in       boolean,
  -- Changes-since exports: whether the earlier snapshot had the record. Null: not asked for.
  was_in      boolean,
  primary key (export_id, run_attempt, resource, place)
);
comment on table export_keys is
  'Keys of changed records, for changes-since and as-of exports. They may exceed memory; a reader loads those of its chunk.';
create index on export_keys (export_id, run_attempt, resource, chunk, place);

create table table_history (
  resource    text not null,
  -- Of the server, the table and its visible columns.
  fingerprint text not null,
  -- By the source's clock.
  seen_from   timestamptz not null,
  -- The latest definition with this fingerprint. What no row shows may differ from the first one.
  form        jsonb,
  primary key (resource, seen_from)
);
comment on table table_history is
  'Definitions of the resources'' tables over time, for as-of exports: ALTER TABLE changes rows without an event.';

-- The feed

create table feed_state (
  id          boolean primary key default true check (id),
  -- The settled prefix: every transaction at or before it is visible to every snapshot taken from now on.
  settled_lsn pg_lsn not null,
  -- Every transaction whose commit record begins before it is in the changes topic.
  passed_lsn  pg_lsn not null,
  system_id   text not null,
  timeline    integer not null,
  updated_at  timestamptz not null,
  -- Capture's own count of published changes: its ID, and the last number of each partition (from 1 in the array).
  chain_id    text collate "C",
  chain_seqs  bigint[]
);
comment on table feed_state is
  'One row: how far the feed has come. A copy of what capture commits together with its changes.';

create table feed_stall (
  id     boolean primary key default true check (id),
  -- Null while the feed moves.
  reason text,
  detail text,
  since  timestamptz
);
comment on table feed_stall is
  'One row: whether the feed stands still, and why. Separate from feed_state, which is written many times a second.';
insert into feed_stall default values;

create table feed_set_aside (
  resource  text not null,
  since_lsn pg_lsn not null,
  since_at  timestamptz not null,
  reason    text not null,
  -- For the operator: what is wrong, and with which record.
  detail    text not null,
  -- Null while it lasts.
  until_lsn pg_lsn,
  until_at  timestamptz,
  primary key (resource, since_lsn)
);
comment on table feed_set_aside is
  'Spans of the feed without the changes of a resource. Kept as long as events; no changes-since export may cross one.';

create table feed_catalog (
  resource    text primary key,
  fingerprint text not null,
  -- 0/0: from before this was recorded.
  since_lsn   pg_lsn not null
);
comment on table feed_catalog is
  'The catalog entry that capture writes each resource''s changes by. A changes-since export needs the same entry.';

create table recorded_chain (
  partition integer primary key,
  chain     text collate "C" not null,
  seq       bigint not null
);
comment on table recorded_chain is
  'The last recorded change of each partition, by capture''s count. A recreated topic reuses Kafka''s offsets.';

create table events (
  commit_lsn   pg_lsn not null,
  idx          integer not null,
  account_id   text not null,
  -- The top-level transaction.
  xid          bigint not null,
  type         text not null,
  resource     text not null,
  record_key   text not null,
  committed_at timestamptz not null,
  -- The exact JSON text that is delivered and signed.
  payload      text not null,
  -- A type does not distinguish a deletion from a soft deletion.
  op           text,
  -- Columns whose null is a JSON null rather than SQL's: {"data": [columns], "previous": [columns]}. Null: not recorded.
  json_nulls   jsonb,
  -- A truncation is one event for each account, all at one position.
  primary key (account_id, commit_lsn, idx, committed_at)
) partition by range (committed_at);
comment on table events is
  'The feed of each account: one row for each change of a record. Partitioned by the day of the commit.';

create sequence account_event_numbers;

create table account_events (
  -- From 2^63, beyond any WAL position, so the IDs of the two kinds of event differ.
  commit_lsn  pg_lsn primary key,
  account_id  text not null references accounts on delete cascade,
  type        text not null,
  -- `export`, `webhook`, `bulk` or `feed`, and its ID.
  resource    text not null,
  subject_id  text not null,
  occurred_at timestamptz not null,
  payload     text not null,
  -- When it was scheduled for every endpoint that subscribes to it.
  parked_at   timestamptz
);
comment on table account_events is
  'Events without a place in the WAL, such as the end of an export. Triggers write them in the transaction of the fact.';
create index on account_events (commit_lsn) where parked_at is null;
create index on account_events (occurred_at);

create view deliverable_events as
  select account_id, commit_lsn, idx, committed_at, type, resource, record_key, payload, true as is_in_feed from events
  union all
  select account_id, commit_lsn, 0, occurred_at, type, resource, subject_id, payload, false from account_events;
comment on view deliverable_events is 'Events of both kinds.';

-- Webhook endpoints

create table dispatchers (
  id         text primary key,
  expires_at timestamptz not null
);
comment on table dispatchers is
  'Running dispatchers. Their endpoints'' leases last as long as the row, so one small write renews all of them.';

create table webhooks (
  id                text primary key,
  account_id        text not null references accounts on delete cascade,
  url               text not null,
  -- Types and patterns that the endpoint subscribes to.
  events            text[] not null,
  description       text,
  headers           jsonb not null default '{}',
  max_in_flight     integer not null default 20,
  -- {max_events, max_wait_ms}. Null: one request for each event.
  batch             jsonb,
  rate_limit        integer,
  status            text not null check (status in ('active', 'paused', 'disabled')),
  status_reason     text,
  -- Encrypted, newest first: [{ciphertext, expires_at}].
  secrets           jsonb not null,
  start             jsonb not null,
  -- Events visible in this snapshot are skipped up to the seal. Null: the endpoint does not start after an export.
  handoff_snapshot  text,
  handoff_until_lsn pg_lsn,
  -- Low-water mark: every event at or before it is delivered, scheduled for retry or not wanted. `done` lists later ones.
  cursor_lsn        pg_lsn not null,
  cursor_idx        integer not null,
  done              text[] not null default '{}',
  -- Circuit breaker.
  failures_in_row   integer not null default 0,
  failing_since     timestamptz,
  rest_until        timestamptz,
  -- The dispatcher that delivers. The lease ends with its row in `dispatchers`.
  lease_owner       text,
  created_at        timestamptz not null default now(),
  updated_at        timestamptz not null default now(),
  -- Grows with every change by others than the dispatcher. The dispatcher works by `applied_version`, so a pause can wait
  -- until no further request starts.
  settings_version  integer not null default 1,
  applied_version   integer not null default 0,
  -- Grows when someone else moves the cursor, which makes the dispatcher's own writes void.
  cursor_epoch      integer not null default 0,
  -- Undelivered events were dropped. The endpoint gets nothing until its owner moves the cursor, so the gap is not hidden.
  missed_events     boolean not null default false,
  -- `record`: the events of each record in order. `strict`: the whole feed in order.
  delivery_order    text not null default 'record' check (delivery_order in ('record', 'strict'))
);
comment on table webhooks is 'A webhook endpoint: its settings, its cursor in the feed of its account, and its health.';
create index on webhooks (account_id, created_at desc, id desc);
create index on webhooks (lease_owner);
create index on webhooks (lease_owner) where settings_version <> applied_version;

create table webhook_parked (
  webhook_id      text not null references webhooks on delete cascade,
  commit_lsn      pg_lsn not null,
  idx             integer not null,
  committed_at    timestamptz not null,
  -- <resource>/<record key>, because keys are unique within a resource only.
  record_key      text not null,
  attempt_count   integer not null default 0,
  -- Null while it waits for an earlier event of its record.
  next_attempt_at timestamptz,
  last_error      jsonb,
  -- `dead`: its retries are used up. It is kept for redelivery.
  state           text not null check (state in ('waiting', 'dead')),
  parked_at       timestamptz not null default now(),
  -- The last stored event of its record: later ones, which the cursor has passed, are read from `events` in their turn.
  has_more        boolean not null default false,
  primary key (webhook_id, commit_lsn, idx)
);
comment on table webhook_parked is
  'Events scheduled for retry: they failed at an endpoint, or wait for an event of the same record that did.';
create index on webhook_parked (webhook_id, next_attempt_at) where state = 'waiting';

create table webhook_attempts (
  id          bigint generated always as identity primary key,
  webhook_id  text not null references webhooks on delete cascade,
  event_id    text not null,
  attempt     integer not null,
  started_at  timestamptz not null,
  duration_ms integer not null,
  -- The HTTP status. Null: no response.
  status      integer,
  outcome     text not null,
  -- The beginning of the response body.
  excerpt     text,
  -- {id, event_count, last_event_id} of a request with several events, of which `event_id` is the first.
  batch       jsonb
);
comment on table webhook_attempts is 'Requests to endpoints and what became of them, for the delivery log.';
create index on webhook_attempts (webhook_id, id desc);
create index on webhook_attempts (started_at);

create table webhook_tests (
  webhook_id   text primary key references webhooks on delete cascade,
  event_id     text not null,
  payload      text not null,
  requested_at timestamptz not null default now(),
  claimed_at   timestamptz,
  -- {started_at, duration_ms, status, outcome, excerpt}
  result       jsonb
);
comment on table webhook_tests is
  'The latest test delivery of an endpoint. The api writes it, and one dispatcher claims it.';

-- Bulk jobs. The result of each item is in the ledger in the source, in the transaction of the item's own change.

create table bulk_files (
  id         text primary key,
  account_id text not null references accounts on delete cascade,
  -- In storage.
  path       text not null,
  bytes      bigint not null,
  -- Lines that are not blank.
  items      bigint not null,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null
);
comment on table bulk_files is 'Uploaded files of IDs.';
create index on bulk_files (expires_at);

create table bulk_jobs (
  id                 text primary key,
  account_id         text not null references accounts on delete cascade,
  resource           text not null,
  operation          text not null,
  -- What the customer asked for, with the casing of the API.
  request            jsonb not null,
  file_id            text references bulk_files on delete set null,
  status             text not null check (status in
                       ('pending', 'running', 'paused', 'cancelled', 'completed', 'failed')),
  pause_reason       text check (pause_reason in ('requested', 'quota', 'handler', 'feed')),
  -- The status that the job gets when no chunk of it is worked on. No further chunk is claimed.
  ending             text check (ending in ('cancelled', 'failed')),
  error              jsonb,
  -- Null until all items are listed.
  total              bigint,
  estimated          bigint not null,
  processed          bigint not null generated always as (succeeded + failed + skipped) stored,
  succeeded          bigint not null default 0,
  failed             bigint not null default 0,
  skipped            bigint not null default 0,
  -- Failed items by code: {code: count}; and the last few of them.
  error_counts       jsonb not null default '{}',
  recent_errors      jsonb not null default '[]',
  -- Items a second, exponentially smoothed, and the point that the next value continues from.
  rate               double precision,
  rate_at            timestamptz,
  rate_processed     bigint not null default 0,
  -- The worker that lists the items.
  lease_owner        text,
  lease_expires_at   timestamptz,
  -- Attempts to list.
  list_count         integer not null default 0,
  listed_at          timestamptz,
  created_at         timestamptz not null default clock_timestamp(),
  started_at         timestamptz,
  last_updated_at    timestamptz not null default clock_timestamp(),
  ended_at           timestamptz,
  -- With live semantics a job lists again after all items are done, until a round finds no new ones.
  list_round         integer not null default 0,
  -- Items and chunks of earlier rounds. The current round continues their numbers.
  listed_items       bigint not null default 0,
  listed_chunks      integer not null default 0,
  -- When the job got one of the account's places. It stays `pending` until its items are fixed.
  admitted_at        timestamptz,
  -- For lists of jobs, which do not load requests: those hold parameters and a filter of any length.
  semantics          text not null generated always as (coalesce(request ->> 'semantics', 'snapshot')) stored,
  -- The error that listing failed with, and how many times in a row. A repeated error fails the job.
  failure            text,
  failure_count      integer not null default 0,
  -- A job that waits for its handler: when it resumes, since when the handler is away, and pauses in a row.
  resumes_at         timestamptz,
  handler_away_since timestamptz,
  handler_pauses     integer not null default 0
);
comment on table bulk_jobs is 'One bulk job: its request, its progress and its end.';
create index on bulk_jobs (account_id, created_at desc, id desc);
create index on bulk_jobs (status, created_at) where status in ('pending', 'running', 'paused');
create index on bulk_jobs (ended_at) where ended_at is not null;
create index on bulk_jobs (resumes_at) where pause_reason = 'handler';

create table bulk_chunks (
  job_id           text not null references bulk_jobs on delete cascade,
  chunk            integer not null,
  -- The first item's number in the job. Items are numbered from 0.
  first_seq        integer not null,
  item_count       integer not null,
  -- A JSON array, dropped once all items are in the ledger.
  items            text,
  state            text not null check (state in ('waiting', 'working', 'done')),
  -- Fences what an attempt writes.
  attempt          integer not null default 0,
  not_before       timestamptz,
  lease_owner      text,
  lease_expires_at timestamptz,
  -- Quota reserved for the current attempt, its period, and the items that are already charged.
  reserved         integer not null default 0,
  quota_span       tstzrange,
  charged          integer not null default 0,
  succeeded        integer not null default 0,
  failed           integer not null default 0,
  skipped          integer not null default 0,
  error_counts     jsonb not null default '{}',
  -- Items by number that a handler was asked about, or was about to be. If the worker dies and the job ends, each of them
  -- without a result gets one that says so.
  begun            integer[] not null default '{}',
  -- The error of the last attempts, and how many times in a row. A repeated error fails the job.
  failure          text,
  failure_count    integer not null default 0,
  -- How long the last items have waited for locked rows. Pauses do not count.
  held_ms          bigint not null default 0,
  primary key (job_id, chunk)
);
comment on table bulk_chunks is 'A slice of a bulk job''s items that one worker processes.';
create index on bulk_chunks (job_id, chunk) where state = 'waiting';
create index on bulk_chunks (job_id, lease_expires_at) where state = 'working';

create table bulk_quota_use (
  account_id text not null references accounts on delete cascade,
  span       tstzrange not null,
  used       bigint not null default 0,
  reserved   bigint not null default 0,
  primary key (account_id, span)
);
comment on table bulk_quota_use is
  'Items used and reserved in a period. The period is stored as its span, so another kind of period starts from zero.';
create index on bulk_quota_use (upper(span));

create table bulk_quota_holds (
  id         text primary key,
  account_id text not null references accounts on delete cascade,
  span       tstzrange not null,
  items      bigint not null,
  expires_at timestamptz not null
);
comment on table bulk_quota_holds is
  'Quota reserved by synchronous operations with a handler, which are too slow to lock bulk_quota_use. Ends after a crash too.';
create index on bulk_quota_holds (account_id, span);
create index on bulk_quota_holds (expires_at);

-- Account events: each trigger writes one in the transaction of its fact, so it can be neither forgotten nor repeated.

create function tell_account(account text, kind text, about text, subject text, data json) returns void
language plpgsql set search_path from current as $$
declare
  number bigint := nextval('account_event_numbers');
  at timestamptz := clock_timestamp();
begin
  insert into account_events (commit_lsn, account_id, type, resource, subject_id, occurred_at, payload)
  values ('80000000/0'::pg_lsn + number::numeric, account, kind, about, subject, at,
    json_build_object(
      -- Made from the position, like the ID of every event.
      'id', 'evt_8' || lpad(upper(to_hex(number)), 15, '0') || '0000000000',
      'type', kind,
      'timestamp', to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
      'account_id', account,
      'position', null,
      'resource', about,
      'key', json_build_object('id', subject),
      'data', data));
  perform pg_notify('tandem_webhooks', subject);
end $$;
comment on function tell_account is 'Writes an account event and notifies the dispatchers.';

create function tell_of_export() returns trigger language plpgsql set search_path from current as $$
begin
  perform tell_account(
    new.account_id,
    'export.' || case when new.status = old.status then 'expiring' else new.status end,
    'export', new.id,
    json_build_object('id', new.id, 'status', new.status, 'resources', new.resources, 'rows', new.rows_written,
      'error', new.error, 'created_at', new.created_at, 'completed_at', new.completed_at, 'expires_at', new.expires_at));
  return null;
end $$;

create trigger export_told after update of status, expiry_told_at on exports
  for each row when (
    new.account_id is not null and (
      (new.status <> old.status and new.status in ('completed', 'failed'))
      or (new.status = 'completed' and old.expiry_told_at is null and new.expiry_told_at is not null)))
  execute function tell_of_export();

create function tell_of_bulk() returns trigger language plpgsql set search_path from current as $$
begin
  perform tell_account(new.account_id, 'bulk.' || new.status, 'bulk', new.id,
    json_build_object('id', new.id, 'status', new.status, 'resource', new.resource, 'operation', new.operation,
      'total', new.total, 'succeeded', new.succeeded, 'failed', new.failed, 'skipped', new.skipped,
      'error', new.error, 'created_at', new.created_at, 'ended_at', new.ended_at));
  return null;
end $$;

create trigger bulk_told after update of status on bulk_jobs
  for each row when (new.status <> old.status and new.status in ('completed', 'failed'))
  execute function tell_of_bulk();

create function tell_of_webhook() returns trigger language plpgsql set search_path from current as $$
begin
  perform tell_account(new.account_id, 'webhook.disabled', 'webhook', new.id,
    json_build_object('id', new.id, 'url', new.url, 'description', new.description, 'status', new.status,
      'status_reason', new.status_reason, 'failing_since', new.failing_since));
  return null;
end $$;

create trigger webhook_told after update of status on webhooks
  for each row when (new.status = 'disabled' and old.status <> 'disabled')
  execute function tell_of_webhook();

-- Every account with an endpoint that subscribes to it.
create function tell_of_stall() returns trigger language plpgsql set search_path from current as $$
declare
  kind text := case when new.since is null then 'feed.resumed' else 'feed.stalled' end;
begin
  perform tell_account(listening.account_id, kind, 'feed', 'feed',
    json_build_object('reason', coalesce(new.reason, old.reason), 'stalled_at', coalesce(new.since, old.since)))
  from (
    select distinct account_id from webhooks
     where status <> 'disabled' and events && array['*', 'feed.*', kind]
  ) listening;
  return null;
end $$;

create trigger stall_told after update of since on feed_stall
  for each row when ((old.since is null) <> (new.since is null))
  execute function tell_of_stall();

-- Settings of endpoints: dispatchers learn of every change by others.

create function note_webhook_change() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    perform pg_notify('tandem_webhooks', old.id);
    return old;
  end if;
  if tg_op = 'UPDATE' then
    new.settings_version := old.settings_version + 1;
  end if;
  perform pg_notify('tandem_webhooks', new.id);
  return new;
end $$;

create trigger webhook_created_or_deleted before insert or delete on webhooks
  for each row execute function note_webhook_change();

-- The dispatcher's own writes (cursor, done, health, lease) do not notify.
create trigger webhook_changed before update on webhooks
  for each row when (
    (old.url, old.events, old.headers, old.max_in_flight, old.batch, old.rate_limit, old.status, old.secrets,
     old.handoff_snapshot, old.handoff_until_lsn, old.updated_at, old.cursor_epoch)
    is distinct from
    (new.url, new.events, new.headers, new.max_in_flight, new.batch, new.rate_limit, new.status, new.secrets,
     new.handoff_snapshot, new.handoff_until_lsn, new.updated_at, new.cursor_epoch))
  execute function note_webhook_change();

create trigger webhook_order_changed before update of delivery_order on webhooks
  for each row when (old.delivery_order is distinct from new.delivery_order)
  execute function note_webhook_change();

-- Idempotency keys of jobs: a job may wait for quota for months, and a late retry must not create a second one.

create function expire_key_of_job() returns trigger language plpgsql set search_path from current as $$
begin
  -- A client may be away when the job ends, so the key lives on as long as keys of requests that create no job.
  update idempotency_keys set expires_at = now() + interval '7 days' where job_id = new.id;
  return null;
end $$;

create trigger bulk_key_expires after update of status on bulk_jobs
  for each row when (
    old.status in ('pending', 'running', 'paused') and new.status not in ('pending', 'running', 'paused'))
  execute function expire_key_of_job();

create trigger export_key_expires after update of status on exports
  for each row when (
    old.status in ('pending', 'running', 'cancelling') and new.status not in ('pending', 'running', 'cancelling'))
  execute function expire_key_of_job();
