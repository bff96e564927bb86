-- Where the last loss of records is told, and up to which number records were missing: stored before it is told, so that after a
-- crash it is told in the same place. Null: none was told since this is kept.
alter table recorded_chain
  add column loss_chain  text collate "C",
  add column loss_seq    bigint,
  add column loss_lsn    pg_lsn,
  add column loss_micros bigint;
