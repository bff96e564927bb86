-- Paths need no foreign key: a record may refer to one that is not there, not there yet, or not there any more. How
-- many do is counted, so that a record that comes, goes or moves is told to accounts only if others change with it.
alter table routes
  -- The resources with a record that referred to this one before the commit and after it: theirs changed its account.
  add referred_by text[] not null default '{}';

create table route_references (
  generation bigint not null,
  -- The record that is referred to, whether it is there or not.
  resource text not null,
  key text not null,
  -- The resource whose records refer to it, and how many of them at most.
  child text not null,
  count bigint not null,
  primary key (generation, resource, key, child)
);

-- The transactions that changed a record which others may refer to, or such a reference. A snapshot that sees two of them in
-- another order than they committed in may join what the feed takes apart.
create table route_commits (
  generation bigint not null,
  commit_lsn pg_lsn not null,
  xid xid8 not null,
  has_routes boolean not null,
  has_references boolean not null,
  written_at timestamptz not null default now(),
  primary key (generation, commit_lsn)
);

-- The counts are read with the next beginning.
update route_state set fingerprint = null;

comment on table route_references is 'How many records refer to one that they have their account from';
comment on table route_commits is 'Transactions that changed whose records are by their parents, for the order in which snapshots see them';
