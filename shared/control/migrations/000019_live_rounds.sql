-- With live semantics a job lists its items again when all are done, until a round finds none that are new.
alter table bulk_jobs
  add column list_round    integer not null default 0,
  -- Items and chunks of the rounds before the present one; its own are numbered on from there.
  add column listed_items  bigint not null default 0,
  add column listed_chunks integer not null default 0;
