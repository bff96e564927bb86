-- The delivery log: what was sent and returned, the filters of its list, and statistics.

alter table webhook_attempts
  -- {signature, own_headers: [names]}. The rest follows from the other columns and the events. Null: nothing was sent.
  add column request jsonb,
  -- {headers: {name: value}, headers_omitted, is_body_cut}. Null: no response.
  add column response jsonb,
  -- The events of a batch, in its order. Null: one event, `event_id`.
  add column event_ids text[];

-- Attempts are listed by the time at which they started.
drop index webhook_attempts_webhook_id_id_idx;
create index on webhook_attempts (webhook_id, started_at desc, id desc);
create index on webhook_attempts (webhook_id, started_at desc, id desc) where outcome <> 'delivered';
-- Those of one event: alone, or in a batch that begins at or before it. IDs of events have one width, so their bytes are
-- in the order of the feed.
create index on webhook_attempts (webhook_id, event_id collate "C" desc, id desc) where event_ids is null;
create index on webhook_attempts (webhook_id, event_id collate "C" desc, id desc) where event_ids is not null;

create table webhook_stats (
  webhook_id       text not null references webhooks on delete cascade,
  -- The start of five minutes.
  bucket           timestamptz not null,
  delivered        integer not null,
  failed           integer not null,
  -- Events of those attempts.
  delivered_events bigint not null,
  failed_events    bigint not null,
  -- Attempts by duration: see shared/domain/duration-classes.ts.
  durations        integer[] not null,
  primary key (webhook_id, bucket)
) with (fillfactor = 70);
comment on table webhook_stats is
  'Attempts of each endpoint by five minutes. Added to by the statement that notes the attempts.';
create index on webhook_stats (bucket);
