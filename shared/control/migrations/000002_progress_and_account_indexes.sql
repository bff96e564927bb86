-- What a customer sees of a chunk, besides its rows: when its latest attempt began, when all rows were read, and when its
-- part was durable.
alter table export_chunks
  add column started_at   timestamptz,
  add column extracted_at timestamptz,
  add column written_at   timestamptz;

-- Jobs of one account that run or wait, in the order of its queue: however many have ended, and however many jobs others have.
create index on exports (account_id, created_at, id) where status in ('pending', 'running', 'cancelling');
create index on bulk_jobs (account_id, created_at, id) where status in ('pending', 'running', 'paused');

-- One kind of entry of an account, which may be rare among the others.
create index on audit_log (account_id, action, at desc, id desc);
