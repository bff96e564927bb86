-- By what catalog capture writes the changes of each resource, and from which place in the feed on, so that exports of changes are
-- not answered from changes that were written by another one than theirs.
create table feed_catalog (
  resource    text primary key,
  fingerprint text not null,
  -- 0/0: from before this was noted.
  since_lsn   pg_lsn not null
);
