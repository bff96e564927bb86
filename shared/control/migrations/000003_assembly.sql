-- Who puts the parts of an export together. Apart from the extractor's lease, because the two overlap for a moment.
alter table exports
  add column assembly_owner            text,
  add column assembly_lease_expires_at timestamptz,
  -- Counts the tries, so that an export which ends every writer that touches it is given up.
  add column assembly_count            integer not null default 0;

-- The registry's ID of the schema that the chunk's rows were encoded with.
alter table export_chunks add column schema_id integer;
