-- Millions of keys are not removed in the statement that ends an export, but behind it, some at a time.
drop trigger export_ended on exports;
drop function drop_export_keys();
alter table exports add column has_keys boolean not null default false;
create index on exports (id) where has_keys;
