-- Of a changed key: whether the earlier export's snapshot had the record. Null where that was not asked.
alter table export_keys add column was_in boolean;
