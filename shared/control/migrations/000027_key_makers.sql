-- The keys through which a key was made, the first of them first. IDs, because a revoked key may be gone from this table.
alter table api_keys add column makers text[] not null default '{}';
