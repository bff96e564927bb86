-- The hash of the columns and fields that capture writes a resource's changes with (columns of a TableForm), and a position
-- before which it was another. Null: not known yet, or the table is gone.
alter table feed_catalog add column columns text;
alter table feed_catalog add column columns_since pg_lsn;
