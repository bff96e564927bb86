-- no transaction
-- What the files of a chunked export have otherwise than its parts, in the order of the files.
drop index concurrently if exists export_keys_merge_place_idx;
create index concurrently export_keys_merge_place_idx on export_keys (export_id, run_attempt, resource, merge_place)
  where merge_place is not null;
