-- Chunked exports: each chunk is read in a short transaction of its own, and the account's events since then make the files
-- the state of one snapshot, which is taken when all chunks are read.
alter table exports
  -- How the rows are read: `single`, under one snapshot, or `chunked`. Null until a run has decided.
  add column snapshot_kind text check (snapshot_kind in ('single', 'chunked')),
  -- Why it is `single` although a chunked export was asked for, or tried.
  add column snapshot_reason text,
  -- Of a chunked export: the beginning of its reading, which all runs share. {snapshot, lsn, start_lsn, system_id, timeline, table_forms}
  add column read_since jsonb;
alter table export_chunks
  -- Null: the chunk is read under a snapshot of its own.
  alter column snapshot_name drop not null,
  -- Of a chunk that was read under its own snapshot: the keys of its rows in order, compressed.
  add column record_keys bytea;
alter table export_keys
  -- Chunked exports: the row of the chunk's part that has the key, or before which the record belongs; from 0.
  add column part_row bigint,
  -- Its place among all that the files have otherwise than the parts.
  add column merge_place bigint;
comment on table export_keys is
  'Keys of changed records, for changes-since, as-of and chunked exports. They may exceed memory; a reader loads those of its chunk.';
comment on column export_keys.was_in is
  'Changes-since: whether the earlier snapshot had the record. Chunked: whether the chunk''s part has it.';
