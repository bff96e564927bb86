import { expect, test } from 'vitest';
import { accountPartition } from '../../../shared/domain/account-partition.ts';
import type { DecodedChange } from '../../../shared/domain/change.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { resource } from '../../../test/support/resource.ts';
import type { EventRun } from '../store/read-events.ts';
import { createAccountChains } from './account-chains.ts';
import type { ReadChange } from './backlog.ts';
import { createRecordBatch, type RecordDeps } from './record-batch.ts';
import type { RecordedEvent } from './recorded-event.ts';
import { toExpiredReset } from './render-event.ts';

const PARTITIONS = 12;
const ACCOUNTS = Array.from({ length: 40 }, (_, n) => `acc_${n}`);

/** A message's text is `<op> <account> <day>`; how changes are encoded is not what is tried here. */
const setUp = () => {
  const inserted: RecordedEvent[][] = [];
  const days: string[] = [];
  const runs: EventRun[] = [];
  const told: RecordedEvent[] = [];
  let unsureCount = 0;
  let failuresLeft = 0;
  let lsn = 0n;
  const nextLsn = () => {
    lsn += 1n;
    return lsn;
  };
  const event = (account: string, day: string, type: string): RecordedEvent => ({
    commitLsn: nextLsn(),
    index: 0,
    xid: 1n,
    account,
    type,
    op: 'insert',
    jsonNulls: '{}',
    resource: 'invoices',
    recordKey: '["1"]',
    committedAt: `${day}T00:00:00.000000Z`,
    payloadHead: '',
    payloadTail: '',
  });
  const deps: RecordDeps = {
    readerOf: (message) => {
      const [op = '', account = '', day = ''] = message.toString().replace('gap ', '').split(' ');
      const change = {
        op,
        account,
        source: { commitLsn: 100n, xid: 5n, index: 2, committedAtMicros: 1_767_571_200_000_000n },
      } as unknown as DecodedChange;
      return {
        decode: () => change,
        renderer: {
          render: () => event(account, day, 'invoice.created'),
          renderReset: (_change, each) => event(each, day, 'feed.reset'),
        },
      };
    },
    listAccounts: async () => ACCOUNTS,
    ensurePartitions: async (made) => {
      days.push(...made);
    },
    insert: async (events) => {
      inserted.push([...events]);
      failuresLeft -= 1;
      if (failuresLeft >= 0) throw new Error('the connection was lost');
      return { accounts: new Map([['acc_1', 'acct_1']]), count: events.length };
    },
    keptSince: () => '2026-01-02',
    expired: {
      async resetsFor(events, keptSince) {
        const [first] = events;
        return first === undefined ? [] : [toExpiredReset(first, `${keptSince}T00:00:00.000000Z`)];
      },
      noteTold: (resets) => void told.push(...resets),
    },
    chains: createAccountChains(),
    resources: [resource('invoices'), resource('notes')],
    onRecorded: (run) => void runs.push(run),
    onUnsure: () => {
      unsureCount += 1;
    },
    log: silentLog,
  };
  const record = createRecordBatch(PARTITIONS, deps);
  const messages = (texts: readonly string[]): ReadChange[] =>
    texts.map((value, offset) => ({
      offset: String(offset),
      value: Buffer.from(value),
      account: undefined,
      link: undefined,
      isAfterGap: value.startsWith('gap '),
    }));
  const failNext = (count: number) => {
    failuresLeft = count;
  };
  return {
    record,
    recordAgain: () => createRecordBatch(PARTITIONS, { ...deps, chains: createAccountChains() }),
    inserted,
    days,
    runs,
    told,
    failNext,
    unsureCount: () => unsureCount,
    messages,
  };
};

test('a truncation is told to the accounts of its own partition only', async () => {
  const { record, inserted, messages } = setUp();
  await record(3, messages(['truncate * 2026-01-05']));
  const expected = ACCOUNTS.filter((account) => accountPartition(account, PARTITIONS) === 3);
  expect(expected.length).toBeGreaterThan(0);
  expect(inserted.flat().map(({ account }) => account)).toEqual(expected);
});

test('a reset of one account is told to it alone, on its own partition', async () => {
  const { record, inserted, messages } = setUp();
  const own = accountPartition('acc_7', PARTITIONS);
  for (const partition of [own, (own + 1) % PARTITIONS]) {
    await record(partition, messages(['truncate acc_7 2026-01-05']));
  }
  expect(inserted.flat().map(({ account }) => account)).toEqual(['acc_7']);
});

test('a long batch goes in pieces', async () => {
  const { record, inserted, messages } = setUp();
  await record(0, messages(Array(2_500).fill('insert acc_1 2026-01-05')));
  expect(inserted.map((events) => events.length)).toEqual([1_000, 1_000, 500]);
});

test('partitions are made once a day, and what would be dropped again is told as a reset in its place', async () => {
  const { record, inserted, days, told, failNext, messages } = setUp();
  const texts = ['insert a 2026-01-01', 'insert a 2026-01-02', 'insert a 2026-01-03'];
  const take = () => record(0, messages(texts));
  failNext(1);
  await expect(take()).rejects.toThrow('lost');
  expect(told).toEqual([]);
  for (let n = 0; n < 2; n++) await take();
  expect(days).toEqual(['2026-01-02', '2026-01-03', '2026-01-02', '2026-01-03']);
  expect(inserted.slice(1).map((events) => events.map(({ type }) => type))).toEqual(
    Array(2).fill(['feed.reset', 'invoice.created', 'invoice.created']),
  );
  expect(inserted[1]?.[0]).toMatchObject({ commitLsn: 4n, committedAt: '2026-01-02T00:00:00.000000Z' });
  expect(inserted[1]?.[0]?.payloadTail).toContain('"reason":"events_expired","resources":["invoices"]');
  expect(told.map(({ commitLsn }) => commitLsn)).toEqual([4n, 7n]);
});

test('after a failed insert the day’s partition is made sure of again', async () => {
  const { record, days, failNext, messages } = setUp();
  const take = () => record(0, messages(['insert a 2026-01-05']));
  await take();
  failNext(1);
  await expect(take()).rejects.toThrow('lost');
  await take();
  expect(days).toEqual(['2026-01-05', '2026-01-05']);
});

test('events are handed on with the one they follow, and after a break without', async () => {
  const { record, recordAgain, runs, messages } = setUp();
  await record(
    0,
    messages(['insert acc_1 2026-01-05', 'insert unknown 2026-01-05', 'insert acc_1 2026-01-05']),
  );
  await record(0, messages(['insert acc_1 2026-01-05']));
  await recordAgain()(0, messages(['insert acc_1 2026-01-05']));
  const lsns = runs.map(({ after, events }) => [
    after?.commitLsn,
    events.map(({ position }) => position.commitLsn),
  ]);
  expect(lsns).toEqual([
    [undefined, [1n, 3n]],
    [3n, [4n]],
    [undefined, [5n]],
  ]);
  expect(new Set(runs.map(({ accountId }) => accountId))).toEqual(new Set(['acct_1']));
});

test('after an insert of unknown outcome everybody is told to look', async () => {
  const { record, failNext, unsureCount, messages } = setUp();
  failNext(2);
  const take = () => record(0, messages(['insert acc_1 2026-01-05']));
  await expect(take()).rejects.toThrow('lost');
  await expect(take()).rejects.toThrow('lost');
  expect(unsureCount()).toBe(0);
  await take();
  await take();
  expect(unsureCount()).toBe(1);
});

test('records that are missing in the topic are told to each account of the partition, ahead of what follows', async () => {
  const { record, inserted, messages } = setUp();
  await record(
    3,
    messages(['insert acc_1 2026-01-05', 'gap insert acc_1 2026-01-05', 'insert acc_1 2026-01-05']),
  );
  const accountCount = ACCOUNTS.filter((account) => accountPartition(account, PARTITIONS) === 3).length;
  const resets = ['invoices 99/0 0', 'notes 99/1 0'].flatMap((each) => Array(accountCount).fill(each));
  expect(
    inserted
      .flat()
      .map(({ type, resource: of, commitLsn, index, xid }) =>
        type === 'feed.reset' ? `${of} ${commitLsn}/${index} ${xid}` : type,
      ),
  ).toEqual(['invoice.created', ...resets, 'invoice.created', 'invoice.created']);
});
