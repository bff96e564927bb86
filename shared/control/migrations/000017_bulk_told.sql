-- The end of a bulk operation is told to its account's endpoints as that of an export is; see 000006_account_events.sql.
create function tell_of_bulk() returns trigger language plpgsql set search_path from current as $$
begin
  perform tell_account(new.account_id, 'bulk.' || new.status, 'bulk', new.id,
    json_build_object('id', new.id, 'status', new.status, 'resource', new.resource, 'operation', new.operation,
      'total', new.total, 'succeeded', new.succeeded, 'failed', new.failed, 'skipped', new.skipped,
      'error', new.error, 'created_at', new.created_at, 'ended_at', new.ended_at));
  return null;
end $$;

create trigger bulk_told after update of status on bulk_jobs
  for each row when (new.status <> old.status and new.status in ('completed', 'failed'))
  execute function tell_of_bulk();
