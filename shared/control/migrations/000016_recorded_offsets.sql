-- Where the recorder reads on, stored with the number of the last recorded change: a control store that was restored from a
-- backup is behind the offsets that Kafka keeps. Null: nothing counted was recorded since this is kept.
alter table recorded_chain add column next_offset bigint;
