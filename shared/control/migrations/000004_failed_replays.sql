create table webhook_replays (
  webhook_id   text primary key references webhooks on delete cascade,
  -- Events whose last attempt failed in this time.
  failed_from  timestamptz not null,
  failed_until timestamptz not null,
  -- Events up to here are done.
  after_lsn    pg_lsn not null default '0/0',
  after_idx    integer not null default -1,
  requested_at timestamptz not null default now()
);
comment on table webhook_replays is
  'Requests to deliver failed events again. A dispatcher schedules some at a time, and removes the row at the end.';
