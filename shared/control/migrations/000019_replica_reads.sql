-- A chunk that was read from a replica: the position up to which that had replayed the WAL, at most. Everything that the
-- chunk has was written before it.
alter table export_chunks add column read_lsn pg_lsn;
