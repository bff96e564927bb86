-- What lists show of a job's request, beside it: a request holds parameters and a filter of any length, which no list has to load.
alter table bulk_jobs
  add column semantics text not null generated always as (coalesce(request ->> 'semantics', 'snapshot')) stored;
