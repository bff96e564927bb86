-- How often a chunk was claimed and neither finished nor given back: a row that kills its reader must not kill them for ever.
alter table export_chunks add column tries integer not null default 0;
