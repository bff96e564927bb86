-- Which change of each partition of the changes topic was recorded last, by capture's own count. Kafka's offsets are not enough: a
-- topic that is made again gives them to other records.
create table recorded_chain (
  partition integer primary key,
  chain     text collate "C" not null,
  seq       bigint not null
);

-- By the same count, what capture has published: the place in the array is the partition, from 1.
alter table feed_state
  add column chain_id   text collate "C",
  add column chain_seqs bigint[];
