-- What was shown of a running export. It is read again with each request, so that no bar and no time left goes backwards:
-- on another page, from another process, or when the export starts again with a new snapshot.
alter table exports
  add column shown_progress double precision not null default 0,
  add column shown_eta_seconds integer;
