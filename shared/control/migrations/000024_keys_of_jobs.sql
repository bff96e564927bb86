-- A key of a request that made a job lives longer than the job, or a late retry would make a second one; and a job that waits for
-- quota may live for months. While it has not ended its key does not expire; its end, whoever writes it, says when it does.
alter table idempotency_keys add column job_id text;
create index on idempotency_keys (job_id) where job_id is not null;

create function expire_key_of_job() returns trigger language plpgsql set search_path from current as $$
begin
  -- For a client that was away at the end; as long as keys of requests that make no job (api/store/idempotency-keys.ts).
  update idempotency_keys set expires_at = now() + interval '7 days' where job_id = new.id;
  return null;
end $$;

create trigger bulk_key_expires after update of status on bulk_jobs
  for each row when (
    old.status in ('pending', 'running', 'paused') and new.status not in ('pending', 'running', 'paused'))
  execute function expire_key_of_job();

create trigger export_key_expires after update of status on exports
  for each row when (
    old.status in ('pending', 'running', 'cancelling') and new.status not in ('pending', 'running', 'cancelling'))
  execute function expire_key_of_job();
