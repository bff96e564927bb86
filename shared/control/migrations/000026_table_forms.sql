-- What an export's tables were like under its snapshot, by resource: exports of changes compare theirs with it.
alter table exports add column table_forms jsonb;
-- The latest form under the fingerprint; what no row shows may differ from the first one.
alter table table_history add column form jsonb;
