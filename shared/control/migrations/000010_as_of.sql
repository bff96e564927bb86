-- Exports of a past moment: what the event log has to say beside its payloads, and what is known of the past elsewhere.

-- `op` because a type does not tell a deletion from a soft-deletion. `json_nulls` because a payload has one `null` for SQL
-- NULL and for a JSON null: `{"data": [columns], "previous": [columns]}` of the latter. Null: recorded before this was kept.
alter table events
  add column op         text,
  add column json_nulls jsonb;

-- By the source's clock: what was committed later is recorded.
alter table accounts add column recorded_from_at timestamptz;
update accounts a set recorded_from_at = (
  select min((e.snapshot->>'taken_at')::timestamptz) from exports e where e.account_id = a.id)
where recorded_from_lsn is not null;
create index on accounts (id) where recorded_from_at is null;

-- Commits at or after it are not in an export of a past moment. Kept, so that whoever asks again gets the same.
alter table exports add column cut_lsn pg_lsn;
create index on exports (account_id) where cut_lsn is not null;

-- For exports of a past moment the keys are those of records that were then not what the snapshot has.
alter table export_keys
  -- The event that tells of the record at the cut: the first that is not in it, or the last that is.
  add column event_lsn pg_lsn,
  add column event_idx integer,
  add column event_at  timestamptz,
  -- The record then, as a JSON array of wire texts; null when there was none, or while that is not known.
  add column image     text,
  add column is_known  boolean,
  -- Whether the export holds the record.
  add column is_in     boolean;

-- What a resource's table was like from when on, by the source's clock: an ALTER TABLE changes rows without an event.
create table table_history (
  resource    text not null,
  -- Of the server, the table and its visible columns.
  fingerprint text not null,
  seen_from   timestamptz not null,
  primary key (resource, seen_from)
);
