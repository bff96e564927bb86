-- A test delivery that was asked for: one an endpoint, written by the api, made once by whichever dispatcher claims it.
create table webhook_tests (
  webhook_id   text primary key references webhooks on delete cascade,
  event_id     text not null,
  payload      text not null,
  requested_at timestamptz not null default now(),
  claimed_at   timestamptz,
  -- {started_at, duration_ms, status, outcome, excerpt}
  result       jsonb
);
