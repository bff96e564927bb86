-- What a bulk job waits for, and how often it has waited in vain, so that no wait is without an end.
alter table bulk_chunks
  -- What the last attempts failed with, and how many in a row failed with it: an error that repeats ends the job.
  add column failure       text,
  add column failure_count integer not null default 0,
  -- How long the chunk's last items have been waited for, because others hold their rows. Pauses do not count.
  add column held_ms       bigint not null default 0;

alter table bulk_jobs
  -- As on chunks, of listing.
  add column failure       text,
  add column failure_count integer not null default 0,
  -- When a job that waits for its handler goes on, since when the handler is away, and how many times in a row it was asked in vain.
  add column resumes_at         timestamptz,
  add column handler_away_since timestamptz,
  add column handler_pauses     integer not null default 0,
  drop constraint bulk_jobs_pause_reason_check,
  add constraint bulk_jobs_pause_reason_check check (pause_reason in ('requested', 'quota', 'handler', 'feed'));
create index on bulk_jobs (resumes_at) where pause_reason = 'handler';
