import { expect, onTestFinished, test } from 'vitest';
import { createFeedBacklog } from '../../../services/bulk/feed-backlog.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createControlDatabase } from '../../support/stack.ts';

async function openFeed() {
  const database = await createControlDatabase('bulk_feed_backlog');
  onTestFinished(() => database.drop());
  const pool = createControlPool(database.url, silentLog, { applicationName: 'test', max: 2 });
  onTestFinished(() => pool.end());
  return {
    backlog: createFeedBacklog(pool),
    /** As the dispatcher keeps capture's count: the last number of each partition. */
    async publish(chain: string | null, seqs: readonly number[] | null) {
      await pool.query(
        `insert into feed_state (settled_lsn, passed_lsn, system_id, timeline, updated_at, chain_id, chain_seqs)
         values ('0/A0', '0/A0', '1', 1, now(), $1, $2)
         on conflict (id) do update set chain_id = excluded.chain_id, chain_seqs = excluded.chain_seqs`,
        [chain, seqs],
      );
    },
    async record(partition: number, chain: string, seq: number) {
      await pool.query(
        `insert into recorded_chain (partition, chain, seq) values ($1, $2, $3)
         on conflict (partition) do update set chain = excluded.chain, seq = excluded.seq`,
        [partition, chain, seq],
      );
    },
  };
}

test('what was published at the reading before and is not recorded counts, over all partitions', async () => {
  const feed = await openFeed();
  await feed.publish('b', [100, 20, 0]);
  await feed.record(0, 'b', 40);
  await feed.record(1, 'b', 20);
  await feed.record(2, '', 0);
  expect(await feed.backlog.read()).toBe(0);
  await feed.publish('b', [5_000, 20, 7]);
  expect(await feed.backlog.read()).toBe(60);
  await feed.record(0, 'b', 100);
  expect(await feed.backlog.read()).toBe(4_907);
});

test('a new chain of numbers counts from its start, and a recorder that is in a later one has all of it', async () => {
  const feed = await openFeed();
  await feed.publish('b', [7, 5]);
  await feed.record(0, 'a', 1_000);
  await feed.record(1, 'c', 3);
  await feed.backlog.read();
  expect(await feed.backlog.read()).toBe(7);
});

test('without a feed, or without its count, nothing is known to be behind', async () => {
  const feed = await openFeed();
  await feed.record(0, 'a', 3);
  expect(await feed.backlog.read()).toBe(0);
  await feed.publish(null, null);
  await feed.backlog.read();
  expect(await feed.backlog.read()).toBe(0);
});
