alter table exports
  -- Runs since a chunk was last read that the source ended, or refused for now. The export may be the cause, so there
  -- is a limit. `failed_runs` includes them. `run_count` has only runs whose ending is unexplained.
  add column setback_runs integer not null default 0,
  -- Runs since a chunk was last read that gave way to another session. `failed_runs` does not include them.
  add column gave_way_runs integer not null default 0;

-- As `setback_runs`, for attempts at the chunk.
alter table export_chunks add column setbacks integer not null default 0;
