-- The server that the snapshot was taken on: positions and transaction IDs of two servers say nothing of each other.
alter table exports
  add column system_id text,
  add column timeline  integer;

-- The keys that an export of changes tells of, in order of key: what was changed since the earlier export's snapshot.
-- A table, because there may be more of them than fit into memory, and every reader needs those of its chunk.
create table export_keys (
  export_id   text not null references exports on delete cascade,
  run_attempt integer not null,
  resource    text not null,
  -- From 0, in order of key.
  place       bigint not null,
  -- A JSON array of the key columns' wire texts, as in `events`.
  record_key  text not null,
  -- The chunk that has the row; null for a key that the new snapshot does not have.
  chunk       integer,
  primary key (export_id, run_attempt, resource, place)
);
create index on export_keys (export_id, run_attempt, resource, chunk, place);

create function drop_export_keys() returns trigger language plpgsql as $$
begin
  delete from export_keys where export_id = new.id;
  return null;
end $$;

-- The keys serve the run alone, however it ends.
create trigger export_ended after update of status on exports
  for each row when (new.status in ('completed', 'failed', 'cancelled') and old.status <> new.status)
  execute function drop_export_keys();
