-- Who made exports, took their files and held keys. Kept apart from what it tells of, so that it outlives it.
create table audit_log (
  id         bigint generated always as identity primary key,
  at         timestamptz not null default clock_timestamp(),
  -- Null: all accounts at once.
  account_id text,
  -- `operator`, the ID of a key, or `link` for a presigned URL, which works for whoever has it.
  actor      text not null,
  action     text not null,
  subject_id text not null,
  details    jsonb not null default '{}'
);
create index on audit_log (at desc, id desc);
create index on audit_log (account_id, at desc, id desc);
create index on audit_log (subject_id, at desc, id desc);
