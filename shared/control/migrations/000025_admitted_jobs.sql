-- A job is running from when its items are fixed, so that whoever sees it run may change what it selects by. From its turn until
-- then it is pending still, and holds a place among the account's running jobs.
alter table bulk_jobs
  add column admitted_at timestamptz;
