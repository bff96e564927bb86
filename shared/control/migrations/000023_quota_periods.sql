-- Quotas of other periods than the calendar month: what is used is counted by the span of the period itself, so that a change of
-- the period counts anew and no two kinds of period share a count.
alter table accounts
  -- As `QuotaPeriod` in shared/domain/quota-period.ts.
  add column bulk_quota_period jsonb not null default '"month"';
comment on column accounts.bulk_quota is 'Items that may be processed in a period. Null: any number.';

alter table bulk_quota_use alter column month type tstzrange
  using tstzrange(month::timestamp at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
alter table bulk_quota_use rename column month to span;
create index on bulk_quota_use (upper(span));

alter table bulk_quota_holds alter column month type tstzrange
  using tstzrange(month::timestamp at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
alter table bulk_quota_holds rename column month to span;

-- Without a month there is no span; a range from null to null would be all of time.
alter table bulk_chunks alter column quota_month type tstzrange
  using case when quota_month is not null then
    tstzrange(quota_month::timestamp at time zone 'UTC', (quota_month + interval '1 month') at time zone 'UTC') end;
alter table bulk_chunks rename column quota_month to quota_span;
