-- no transaction
-- Exports that a customer has paused.
alter table exports
  -- Since when a pause keeps it from being worked on, until its next run is claimed.
  add column if not exists paused_at timestamptz,
  -- A paused export fails at this time.
  add column if not exists pause_expires_at timestamptz,
  -- How long pauses have kept it from being worked on since it first started.
  add column if not exists paused_ms bigint not null default 0;
alter table exports
  drop constraint if exists exports_status_check,
  add constraint exports_status_check check (status in
    ('pending', 'running', 'paused', 'cancelling', 'completed', 'failed', 'cancelled', 'expired')) not valid;
alter table exports validate constraint exports_status_check;
create or replace trigger export_key_expires after update of status on exports
  for each row when (
    old.status in ('pending', 'running', 'paused', 'cancelling')
    and new.status not in ('pending', 'running', 'paused', 'cancelling'))
  execute function expire_key_of_job();
-- They serve what the two of exports that are not paused did.
drop index concurrently if exists exports_active_idx;
create index concurrently exports_active_idx on exports (status, created_at)
  where status in ('pending', 'running', 'paused', 'cancelling');
drop index concurrently if exists exports_active_of_account_idx;
create index concurrently exports_active_of_account_idx on exports (account_id, created_at, id)
  where status in ('pending', 'running', 'paused', 'cancelling');
drop index concurrently if exists exports_status_created_at_idx;
drop index concurrently if exists exports_account_id_created_at_id_idx1;
drop index concurrently if exists exports_pause_idx;
create index concurrently exports_pause_idx on exports (pause_expires_at) where status = 'paused';
