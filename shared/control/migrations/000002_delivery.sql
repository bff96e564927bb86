-- A truncation becomes one event per account, all at one position, so the account belongs to an event's identity.
-- Leading the key with it lets the key's index serve the feed's reads too, so one index is enough.
alter table events drop constraint events_pkey;
drop index events_account_id_commit_lsn_idx_idx;
alter table events add primary key (account_id, commit_lsn, idx, committed_at);

-- A dispatcher holds its endpoints for as long as its own row here has not expired: renewing costs one small write,
-- however many endpoints it holds.
create table dispatchers (
  id         text primary key,
  expires_at timestamptz not null
);

drop index webhooks_status_lease_expires_at_idx;
alter table webhooks drop column lease_expires_at;

-- `settings_version` grows with every change from outside; `applied_version` is the one the holder works by, so that
-- who pauses an endpoint can wait until no request starts any more.
-- `cursor_epoch` grows when someone other than the holder moves the cursor, which makes the holder's own writes void.
alter table webhooks
  add column settings_version integer not null default 1,
  add column applied_version  integer not null default 0,
  add column cursor_epoch     integer not null default 0;
create index on webhooks (lease_owner);
create index on webhooks (lease_owner) where settings_version <> applied_version;

create function note_webhook_change() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    perform pg_notify('tandem_webhooks', old.id);
    return old;
  end if;
  if tg_op = 'UPDATE' then
    new.settings_version := old.settings_version + 1;
  end if;
  perform pg_notify('tandem_webhooks', new.id);
  return new;
end $$;

create trigger webhook_created_or_deleted before insert or delete on webhooks
  for each row execute function note_webhook_change();

-- The holder's own writes (cursor, done, health, lease) pass in silence.
create trigger webhook_changed before update on webhooks
  for each row when (
    (old.url, old.events, old.headers, old.max_in_flight, old.batch, old.rate_limit, old.status, old.secrets,
     old.handoff_snapshot, old.handoff_until_lsn, old.updated_at, old.cursor_epoch)
    is distinct from
    (new.url, new.events, new.headers, new.max_in_flight, new.batch, new.rate_limit, new.status, new.secrets,
     new.handoff_snapshot, new.handoff_until_lsn, new.updated_at, new.cursor_epoch))
  execute function note_webhook_change();

comment on column webhook_parked.record_key is 'The lane: <resource>/<record key>, because keys are unique within a resource only.';
