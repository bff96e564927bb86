import type { Admin } from 'kafkajs';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createChangeChain } from '../../../services/capture/publish/publisher.ts';
import { createOffsetCommits } from '../../../services/dispatcher/record/offset-commits.ts';
import { classifyLink, createRecordedChain } from '../../../services/dispatcher/record/recorded-chain.ts';
import { accountPartition } from '../../../shared/domain/account-partition.ts';
import { recorderGroup } from '../../../shared/protocol/names.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { type DispatcherBed, invoiceChange, openDispatcherBed } from '../../support/dispatcher.ts';
import { rawKafka } from '../../support/raw-kafka.ts';
import { testStack } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

const PARTITION_COUNT = 12;

const cleanup = new AsyncDisposableStack();
let bed: DispatcherBed;
let admin: Admin;
let topic: string;
let lsn = 100;
/** Of the test. */
let account: string;
let accountId: string;
const chain = createChangeChain(undefined, Date.now());

beforeAll(async () => {
  bed = cleanup.use(await openDispatcherBed());
  topic = `${bed.prefix}.changes`;
  admin = rawKafka(testStack().kafkaBrokers).admin();
  await admin.connect();
  cleanup.defer(() => admin.disconnect());
  await using _first = await bed.start();
});
afterAll(() => cleanup.disposeAsync());
beforeEach(async () => {
  lsn += 10;
  account = `acc_${lsn}`;
  accountId = await bed.addAccount(account);
});

/** @returns its place */
async function publish(): Promise<number> {
  lsn += 10;
  await bed.publish([invoiceChange({ account, lsn })], chain);
  return lsn;
}

const link = (seq: number) => ({ chain: 'a', seq });
/** Of no topic. */
const COUNTED = 1_000;

/** What the account was told, resets by their reason. */
async function told(): Promise<string[]> {
  const { rows } = await bed.pool.query<{ type: string; lsn: string; payload: string }>(
    'select type, commit_lsn::text as lsn, payload from events where account_id = $1 order by commit_lsn, idx',
    [accountId],
  );
  return rows.map(({ type, lsn: at, payload }) =>
    type === 'feed.reset'
      ? String(JSON.parse(payload).data.reason)
      : `${type} ${Number.parseInt(at.slice(2), 16)}`,
  );
}
const created = (...at: number[]) => at.map((each) => `invoice.created ${each}`);
/** One for each resource of the catalog. */
const LOST = Array(3).fill('changes_lost');

const untilTold = (count: number) => waitFor(`${count} events`, async () => (await told()).length >= count);

/** What capture says that it has published. */
const feed = (passedLsn: number, { id, seqs }: { id: string; seqs: readonly number[] }) =>
  bed.pool.query(
    `insert into feed_state (settled_lsn, passed_lsn, system_id, timeline, updated_at, chain_id, chain_seqs)
     values ('0/1', '0/0'::pg_lsn + $1::numeric, '7', 1, now(), $2, $3)
     on conflict (id) do update
     set passed_lsn = excluded.passed_lsn, chain_id = excluded.chain_id, chain_seqs = excluded.chain_seqs`,
    [passedLsn, id, seqs],
  );

/** All that was published to the account's partition is stored as recorded. */
const untilCounted = () =>
  waitFor('the count to be stored', async () => {
    const partition = accountPartition(account, PARTITION_COUNT);
    const { id, seqs } = chain.state();
    const { rowCount } = await bed.pool.query(
      'select from recorded_chain where partition = $1 and chain = $2 and seq = $3',
      [partition, id, seqs[partition]],
    );
    return rowCount === 1;
  });

async function remakeTopic(): Promise<void> {
  await admin.deleteTopics({ topics: [topic] });
  await waitFor('the topic to be gone', async () => !(await admin.listTopics()).includes(topic));
}

test('records that were deleted behind the recorder are told as lost, in their place', async () => {
  const first = await (async () => {
    await using _dispatcher = await bed.start();
    const at = await publish();
    await untilTold(1);
    return at;
  })();
  await publish();
  await publish();
  const partition = accountPartition(account, PARTITION_COUNT);
  // kafkajs deletes only of topics that it has looked at.
  await admin.fetchTopicOffsets(topic);
  await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: '-1' }] });
  const last = await publish();
  await using _dispatcher = await bed.start();
  await untilTold(5);
  expect(await told()).toEqual([...created(first), ...LOST, ...created(last)]);
});

/** A crash between the resets and the count: it can't be stored any more, nor then can offsets be committed. */
async function failingToCount<T>(work: () => Promise<T>): Promise<T> {
  await bed.pool.query(`create function refuse_count() returns trigger language plpgsql as $$
    begin raise exception 'the process is gone'; end $$`);
  await bed.pool.query(
    'create trigger refuse_count before update of seq on recorded_chain for each row execute function refuse_count()',
  );
  try {
    return await work();
  } finally {
    await bed.pool.query('drop function refuse_count cascade');
  }
}

test('a loss is told once, though the process ends before it is stored that it was', async () => {
  const first = await (async () => {
    await using _dispatcher = await bed.start();
    const at = await publish();
    await untilTold(1);
    await untilCounted();
    return at;
  })();
  await publish();
  const partition = accountPartition(account, PARTITION_COUNT);
  await admin.fetchTopicOffsets(topic);
  await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: '-1' }] });
  const behind = await failingToCount(async () => {
    await using _dispatcher = await bed.start();
    const places = [await publish(), await publish()];
    await untilTold(6);
    return places;
  });
  await using _dispatcher = await bed.start();
  const last = await publish();
  await untilTold(7);
  expect(await told()).toEqual([...created(first), ...LOST, ...created(...behind, last)]);
});

test('records lost amid a transaction are told behind it, where no reader has been, also after a restart', async () => {
  lsn += 10;
  const amid = lsn;
  const publishPart = (index: number) => {
    const change = invoiceChange({ account, lsn: amid, id: index });
    return bed.publish([{ ...change, source: { ...change.source, index } }], chain);
  };
  {
    await using _dispatcher = await bed.start();
    await publishPart(0);
    await untilTold(1);
  }
  await publishPart(1);
  await admin.fetchTopicOffsets(topic);
  const partition = accountPartition(account, PARTITION_COUNT);
  await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: '-1' }] });
  await publishPart(2);
  {
    await using _dispatcher = await bed.start();
    await untilTold(2);
  }
  await using _dispatcher = await bed.start();
  const next = await publish();
  await untilTold(6);
  expect(await told()).toEqual([...created(amid, amid), ...LOST, ...created(next)]);
});

/** An account of a partition of which nothing was ever published. */
async function useNewPartition(): Promise<number> {
  const { rows } = await bed.pool.query<{ partition: number }>(
    `select partition from recorded_chain where chain = '' limit 1`,
  );
  const partition = rows[0]?.partition ?? -1;
  for (let n = 0; accountPartition(account, PARTITION_COUNT) !== partition; n += 1)
    account = `acc_new_${lsn}_${n}`;
  accountId = await bed.addAccount(account);
  return partition;
}

test('the very first records of a partition that were deleted are told as lost, unless an earlier version recorded them', async () => {
  const partition = await useNewPartition();
  // As if nobody had ever looked at it.
  await bed.pool.query('delete from recorded_chain where partition = $1', [partition]);
  await publish();
  await admin.fetchTopicOffsets(topic);
  await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: '-1' }] });
  const second = await publish();
  await using _dispatcher = await bed.start();
  await untilTold(4);
  expect(await told()).toEqual([...LOST, ...created(second)]);

  const upgraded = createRecordedChain(bed.pool, async () => new Set([COUNTED + 2]));
  expect(classifyLink(await upgraded.last(COUNTED + 2), link(7))).toBe('next');
  expect(classifyLink(await upgraded.last(COUNTED + 3), link(7))).toBe('gap');
  expect(classifyLink(await upgraded.last(COUNTED + 3), link(1))).toBe('next');
});

test('the only records of a partition that were deleted are told as lost, though none comes after them', async () => {
  const partition = await useNewPartition();
  const lost = await publish();
  await admin.fetchTopicOffsets(topic);
  await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: '-1' }] });
  await using _dispatcher = await bed.start();
  await feed(lost + 5, chain.state());
  await untilTold(3);
  expect(await told()).toEqual(LOST);
  await bed.pool.query('delete from feed_state');
});

test('a topic that was deleted and made again has lost what was not recorded, and that is told', async () => {
  const first = await (async () => {
    await using _dispatcher = await bed.start();
    const at = await publish();
    await untilTold(1);
    return at;
  })();
  await publish();
  await remakeTopic();
  await using _dispatcher = await bed.start();
  const last = await publish();
  await untilTold(5);
  expect(await told()).toEqual([...created(first), ...LOST, ...created(last)]);
});

test('a topic that was restored from older data loses nothing that was recorded, whatever the offsets say', async () => {
  const first = await (async () => {
    await using _dispatcher = await bed.start();
    const at = await publish();
    await untilTold(1);
    return at;
  })();
  const groupId = recorderGroup(bed.prefix);
  const partition = accountPartition(account, PARTITION_COUNT);
  await admin.setOffsets({ groupId, topic, partitions: [{ partition, offset: '1000' }] });
  const second = await publish();
  await using _dispatcher = await bed.start();
  await untilTold(2);
  expect(await told()).toEqual(created(first, second));
});

test('a topic that is deleted while the recorder reads it is read again once it is there', async () => {
  await using _dispatcher = await bed.start();
  const first = await publish();
  await untilTold(1);
  // What is recorded and not counted yet looks lost once Kafka does not have it any more.
  await untilCounted();
  await remakeTopic();
  await using _other = await bed.start();
  await waitFor('the topic to be back', async () => (await admin.listTopics()).includes(topic));
  const last = await publish();
  await untilTold(2);
  expect(await told()).toEqual(created(first, last));
});

/** One process's count of a partition, and the offsets that it commits. */
function recorderOf() {
  const recorded = createRecordedChain(bed.pool, async () => new Set());
  const committed: string[] = [];
  const commitOffsets = async (offsets: readonly { offset: string }[]) => {
    committed.push(...offsets.map(({ offset }) => offset));
  };
  return { recorded, committed, commits: createOffsetCommits({ commitOffsets }, silentLog, recorded.save) };
}

test('an offset that is committed after the group was joined again never gets ahead of the count that is stored', async () => {
  const first = recorderOf();
  first.recorded.note(COUNTED, link(7), 8n);
  first.commits.note(topic, COUNTED, '7');
  // Whatever comes between: what was noted is saved before the offset is committed.
  await first.commits.flush();
  expect(first.committed).toEqual(['8']);
  expect(classifyLink(await recorderOf().recorded.last(COUNTED), link(8))).toBe('next');
});

test('who takes a partition over finds what others recorded, and one that saves late takes nothing back', async () => {
  const [stale, other] = [recorderOf(), recorderOf()];
  const at = COUNTED + 1;
  stale.recorded.note(at, link(1), 2n);
  await stale.recorded.save();
  stale.recorded.note(at, link(2), 3n);
  other.recorded.note(at, link(5), 6n);
  await other.recorded.save();
  expect(await stale.recorded.last(at)).toEqual(link(5));
  await stale.recorded.save();
  expect(await recorderOf().recorded.last(at)).toEqual(link(5));
});

test('the last records of a partition that are lost are told, though none comes after them, and so is the loss of capture’s own state', async () => {
  const first = await (async () => {
    await using _dispatcher = await bed.start();
    const at = await publish();
    await untilTold(1);
    return at;
  })();
  await publish();
  const lastLost = await publish();
  const partition = accountPartition(account, PARTITION_COUNT);
  await admin.fetchTopicOffsets(topic);
  await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: '-1' }] });
  await using _dispatcher = await bed.start();
  await feed(lastLost + 5, chain.state());
  await untilTold(4);
  expect(await told()).toEqual([...created(first), ...LOST]);
  // Told once: what comes next is the next one again.
  const next = await publish();
  await feed(next + 5, chain.state());
  await untilTold(5);
  expect(await told()).toEqual([...created(first), ...LOST, ...created(next)]);
  await feed(next + 5, createChangeChain(undefined, Date.now() + 1_000).state());
  await untilTold(8);
  expect(await told()).toEqual([...created(first), ...LOST, ...created(next), ...LOST]);
  await bed.pool.query('delete from feed_state');
});
