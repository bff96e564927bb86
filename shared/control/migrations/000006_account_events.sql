-- What happens to an account beside the changes of its records. It is told to the account's endpoints like these, but is
-- no part of the feed, since it has no place in the source's WAL. Triggers write it, in the transaction of the fact
-- itself: whoever makes it happen can neither forget it, nor tell it twice, nor tell what is rolled back.
create sequence account_event_numbers;

create table account_events (
  -- Beyond any place in a WAL, so that IDs of the two kinds of event never meet.
  commit_lsn  pg_lsn primary key,
  account_id  text not null references accounts on delete cascade,
  type        text not null,
  -- What it is about: `export` or `webhook`, and its ID.
  resource    text not null,
  subject_id  text not null,
  occurred_at timestamptz not null,
  payload     text not null,
  -- When it was parked for every endpoint that asks for it; null until then.
  parked_at   timestamptz
);
create index on account_events (commit_lsn) where parked_at is null;
create index on account_events (occurred_at);

-- Everything that can be delivered, by its account, position and time.
create view deliverable_events as
  select account_id, commit_lsn, idx, committed_at, type, resource, record_key, payload, true as is_in_feed from events
  union all
  select account_id, commit_lsn, 0, occurred_at, type, resource, subject_id, payload, false from account_events;

create function tell_account(account text, kind text, about text, subject text, data json) returns void
language plpgsql set search_path from current as $$
declare
  number bigint := nextval('account_event_numbers');
  at timestamptz := clock_timestamp();
begin
  insert into account_events (commit_lsn, account_id, type, resource, subject_id, occurred_at, payload)
  values ('80000000/0'::pg_lsn + number::numeric, account, kind, about, subject, at,
    json_build_object(
      -- The ID is the position's, as every event's.
      'id', 'evt_8' || lpad(upper(to_hex(number)), 15, '0') || '0000000000',
      'type', kind,
      'timestamp', to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
      'account_id', account,
      'position', null,
      'resource', about,
      'key', json_build_object('id', subject),
      'data', data));
  perform pg_notify('tandem_webhooks', subject);
end $$;

alter table exports
  add column expiry_told_at   timestamptz,
  add column files_removed_at timestamptz;
create index on exports (expires_at) where status = 'completed';
create index on exports (id) where status = 'expired' and files_removed_at is null;

create function tell_of_export() returns trigger language plpgsql set search_path from current as $$
begin
  perform tell_account(
    new.account_id,
    'export.' || case when new.status = old.status then 'expiring' else new.status end,
    'export', new.id,
    json_build_object('id', new.id, 'status', new.status, 'resources', new.resources, 'rows', new.rows_written,
      'error', new.error, 'created_at', new.created_at, 'completed_at', new.completed_at, 'expires_at', new.expires_at));
  return null;
end $$;

create trigger export_told after update of status, expiry_told_at on exports
  for each row when (
    new.account_id is not null and (
      (new.status <> old.status and new.status in ('completed', 'failed'))
      or (new.status = 'completed' and old.expiry_told_at is null and new.expiry_told_at is not null)))
  execute function tell_of_export();

create function tell_of_webhook() returns trigger language plpgsql set search_path from current as $$
begin
  perform tell_account(new.account_id, 'webhook.disabled', 'webhook', new.id,
    json_build_object('id', new.id, 'url', new.url, 'description', new.description, 'status', new.status,
      'status_reason', new.status_reason, 'failing_since', new.failing_since));
  return null;
end $$;

create trigger webhook_told after update of status on webhooks
  for each row when (new.status = 'disabled' and old.status <> 'disabled')
  execute function tell_of_webhook();
