import { expect, onTestFinished, test } from 'vitest';
import { readPressure } from '../../../services/bulk/throttle.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createControlDatabase } from '../../support/stack.ts';

/** A control store whose feed has published the given numbers, by partition; its recorders have stored `recorded`. */
async function openFeed(chain: string | null, published: readonly number[] | null) {
  const database = await createControlDatabase('bulk_throttle');
  onTestFinished(() => database.drop());
  const pool = createControlPool(database.url, silentLog, { applicationName: 'test', max: 2 });
  onTestFinished(() => pool.end());
  await pool.query(
    `insert into feed_state (settled_lsn, passed_lsn, system_id, timeline, updated_at, chain_id, chain_seqs)
     values ('0/A0', '0/A0', '1', 1, now(), $1, $2)`,
    [chain, published],
  );
  return {
    async record(partition: number, ofChain: string, seq: number) {
      await pool.query(
        `insert into recorded_chain (partition, chain, seq) values ($1, $2, $3)
         on conflict (partition) do update set chain = excluded.chain, seq = excluded.seq`,
        [partition, ofChain, seq],
      );
    },
    unrecorded: async () => (await readPressure(pool, pool)).unrecordedChanges,
  };
}

test('changes that are published and not recorded are counted over all partitions', async () => {
  const feed = await openFeed('b', [100, 20, 0]);
  await feed.record(0, 'b', 40);
  await feed.record(1, 'b', 20);
  await feed.record(2, '', 0);
  expect(await feed.unrecorded()).toBe(60);
  await feed.record(0, 'b', 100);
  expect(await feed.unrecorded()).toBe(0);
});

test('a new chain of numbers counts from its start, and a recorder that is ahead of the stored state is not behind', async () => {
  const feed = await openFeed('b', [7, 5]);
  await feed.record(0, 'a', 1_000);
  await feed.record(1, 'c', 3);
  expect(await feed.unrecorded()).toBe(7);
});

test('without a count of what was published nothing is known to be behind', async () => {
  const feed = await openFeed(null, null);
  await feed.record(0, 'a', 3);
  expect(await feed.unrecorded()).toBe(0);
});
