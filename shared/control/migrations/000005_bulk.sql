-- Bulk operations: jobs, the lists of their items in chunks, quotas, and files of IDs. What happened to each item stands in
-- the ledger, which is in the source because it is written in the transaction of the item's own change.

alter table accounts
  add column max_running_bulk integer not null default 3 check (max_running_bulk between 1 and 10),
  -- Items that may be processed in a calendar month (UTC). Null: any number.
  add column bulk_quota       bigint check (bulk_quota >= 0);

create table bulk_files (
  id         text primary key,
  account_id text not null references accounts on delete cascade,
  path       text not null,
  bytes      bigint not null,
  -- Lines that are not blank.
  items      bigint not null,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null
);
create index on bulk_files (expires_at);

create table bulk_jobs (
  id               text primary key,
  account_id       text not null references accounts on delete cascade,
  resource         text not null,
  operation        text not null,
  request          jsonb not null,
  file_id          text references bulk_files on delete set null,
  status           text not null check (status in ('pending', 'running', 'paused', 'cancelled', 'completed', 'failed')),
  pause_reason     text check (pause_reason in ('requested', 'quota')),
  -- How the job ends as soon as no chunk of it is in hand any more; no chunk is claimed once this is set.
  ending           text check (ending in ('cancelled', 'failed')),
  error            jsonb,
  total            bigint,
  estimated        bigint not null,
  processed        bigint not null generated always as (succeeded + failed + skipped) stored,
  succeeded        bigint not null default 0,
  failed           bigint not null default 0,
  skipped          bigint not null default 0,
  -- {code: count} of the failed items, and the last of them.
  error_counts     jsonb not null default '{}',
  recent_errors    jsonb not null default '[]',
  -- Items a second, exponentially smoothed; what it goes on from.
  rate             double precision,
  rate_at          timestamptz,
  rate_processed   bigint not null default 0,
  -- Who lists the items.
  lease_owner      text,
  lease_expires_at timestamptz,
  list_count       integer not null default 0,
  listed_at        timestamptz,
  created_at       timestamptz not null default clock_timestamp(),
  started_at       timestamptz,
  last_updated_at  timestamptz not null default clock_timestamp(),
  ended_at         timestamptz
);
create index on bulk_jobs (account_id, created_at desc, id desc);
create index on bulk_jobs (status, created_at) where status in ('pending', 'running', 'paused');
create index on bulk_jobs (ended_at) where ended_at is not null;

create table bulk_chunks (
  job_id           text not null references bulk_jobs on delete cascade,
  chunk            integer not null,
  -- The place of the first item in the job; items are numbered through from 0.
  first_seq        integer not null,
  item_count       integer not null,
  -- A JSON array of the items, dropped once all are in the ledger.
  items            text,
  state            text not null check (state in ('waiting', 'working', 'done')),
  -- Fences what a try writes.
  attempt          integer not null default 0,
  not_before       timestamptz,
  lease_owner      text,
  lease_expires_at timestamptz,
  -- Quota set aside for the try in hand and the month it is of; items that were charged already.
  reserved         integer not null default 0,
  quota_month      date,
  charged          integer not null default 0,
  succeeded        integer not null default 0,
  failed           integer not null default 0,
  skipped          integer not null default 0,
  error_counts     jsonb not null default '{}',
  primary key (job_id, chunk)
);
create index on bulk_chunks (job_id, chunk) where state = 'waiting';
create index on bulk_chunks (job_id, lease_expires_at) where state = 'working';

create table bulk_quota_use (
  account_id text not null references accounts on delete cascade,
  month      date not null,
  used       bigint not null default 0,
  reserved   bigint not null default 0,
  primary key (account_id, month)
);
