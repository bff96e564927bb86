-- How often the chunk was given back because its table was locked, or wanted by another session.
alter table export_chunks add column gave_way integer not null default 0;
