-- Resources whose changes were passed over for a while, as capture says it: from which place in the feed to which. Past ones are
-- kept as long as events, since no export of changes may go across one.
create table feed_set_aside (
  resource  text not null,
  since_lsn pg_lsn not null,
  since_at  timestamptz not null,
  reason    text not null,
  -- For the operator: what is wrong, and with which record.
  detail    text not null,
  -- Null while it lasts.
  until_lsn pg_lsn,
  until_at  timestamptz,
  primary key (resource, since_lsn)
);

-- Whether the feed stands still, and why. Apart from `feed_state`, which moves many times a second.
create table feed_stall (
  id     boolean primary key default true check (id),
  -- Null while it moves.
  reason text,
  detail text,
  since  timestamptz
);
insert into feed_stall default values;

-- Every account with an endpoint that asks for it is told when the feed stands still, and when it moves again.
create function tell_of_stall() returns trigger language plpgsql set search_path from current as $$
declare
  kind text := case when new.since is null then 'feed.resumed' else 'feed.stalled' end;
begin
  perform tell_account(listening.account_id, kind, 'feed', 'feed',
    json_build_object('reason', coalesce(new.reason, old.reason), 'stalled_at', coalesce(new.since, old.since)))
  from (
    select distinct account_id from webhooks
     where status <> 'disabled' and events && array['*', 'feed.*', kind]
  ) listening;
  return null;
end $$;

create trigger stall_told after update of since on feed_stall
  for each row when ((old.since is null) <> (new.since is null))
  execute function tell_of_stall();
