-- Items of a chunk that a handler was asked for, or was about to be, by their place in the job. Whoever asked may be gone before there is an
-- answer; when the job is to end by then, each of these that has no result gets one that says so.
alter table bulk_chunks add column begun integer[] not null default '{}';
