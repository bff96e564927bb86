-- Whose the records are that others have their account from. Capture writes here what the stream says of them, and
-- looks a record's account up as of a commit. One generation is the contents of one snapshot and what followed it.
create table routes (
  generation bigint not null,
  resource text not null,
  -- The record's key, as a JSON array of canonical texts; a long one by its hash.
  key text not null,
  -- From this commit on; 0/0: from the generation's snapshot on.
  since_lsn pg_lsn not null,
  -- The account, or the key of the parent in the same form. Null: nobody's.
  owner text,
  -- The record is gone since then; the owner is its last one.
  is_deleted boolean not null,
  written_at timestamptz not null default now(),
  primary key (generation, resource, key, since_lsn)
);
create index on routes (written_at) where is_deleted;

create table route_state (
  is_only boolean primary key default true check (is_only),
  -- The capture session that may write; a later one takes over.
  owner text not null,
  generation bigint not null,
  -- Of the catalog's paths and the foreign keys under them. Null until the generation is whole.
  fingerprint text,
  system_id text not null,
  timeline int not null,
  -- The generation's snapshot, and a position behind everything that it sees.
  snapshot text,
  snapshot_lsn pg_lsn,
  -- Everything that transactions with a commit before it say is in routes.
  complete_to pg_lsn
);

comment on table routes is 'Whose the records are that others have their account from, by the commit that said so';
comment on table route_state is 'What the routes begin with, and up to where they follow the stream';
