-- The fingerprint of each resource's catalog entry, by which the present run plans its chunks: only readers with the same may read
-- them. Services do not restart at the same time when a catalog changes. Null: the run of an earlier version.
alter table exports add column run_catalog jsonb;
