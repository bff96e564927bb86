-- Quota set aside for synchronous operations that call a handler: they take too long to keep the quota's row locked. A hold
-- whose process died ends by itself.
create table bulk_quota_holds (
  id         text primary key,
  account_id text not null references accounts on delete cascade,
  month      date not null,
  items      bigint not null,
  expires_at timestamptz not null
);
create index on bulk_quota_holds (account_id, month);
create index on bulk_quota_holds (expires_at);
