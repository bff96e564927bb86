-- Of a chunk whose records have the account of a parent, and that was read from the primary: its snapshot, a position up to which that
-- sees all, and one behind all that it sees: {snapshot, from_lsn, lsn}. They say whether it sees parents and children in the order
-- in which they committed. A replica always does.
alter table export_chunks add column seen jsonb;
alter table exports
  -- Runs that ended with an error, or gave way, since a chunk was last read: the next one waits longer each time. A run whose process died
  -- is none of them: `run_count` has it, which limits how often an export may take its process with it.
  add column failed_runs integer not null default 0,
  -- All chunks of the present run are there, so the number of its rows is known. `planned_at` says that all are read, too.
  add column all_planned boolean not null default false;
