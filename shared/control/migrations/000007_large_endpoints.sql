-- An endpoint's attempts are swept by their age, also after it is deleted: there may be millions of them.
alter table webhook_attempts drop constraint webhook_attempts_webhook_id_fkey;

-- When a replay has its next turn: later when its endpoint has as many waiting deliveries as it may have.
alter table webhook_replays add column look_at timestamptz not null default now();
create index on webhook_replays (look_at, webhook_id);
