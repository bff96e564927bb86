-- Of the last published change. Behind passed_lsn, its transaction is in the changes topic in part. Null until capture
-- has said it once.
alter table feed_state add column last_commit_lsn pg_lsn;
