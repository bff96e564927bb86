-- When a chunk of the export was last claimed: exports take turns by it.
alter table exports add column chunk_claimed_at timestamptz;
