import { expect, test } from 'vitest';
import { accountPartition } from '../../../shared/domain/account-partition.ts';
import type { DecodedChange } from '../../../shared/domain/change.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { resource } from '../../../test/support/resource.ts';
import type { EventRun } from '../store/read-events.ts';
import type { ReadChange } from './backlog.ts';
import type { RecordedEvent } from './insert-events.ts';
import type { ToldLoss } from './lost-changes.ts';
import { createAccountChains, createRecordBatch, type RecordDeps } from './record-batch.ts';
import { toExpiredReset } from './render-event.ts';

const PARTITIONS = 12;
const ACCOUNTS = Array.from({ length: 40 }, (_, n) => `acc_${n}`);

/** A message's text is `<op> <account> <day> <commit LSN> <index>`; how changes are encoded is not what is tried here. */
const setUp = () => {
  const inserted: RecordedEvent[][] = [];
  const days: string[] = [];
  const runs: EventRun[] = [];
  const told: RecordedEvent[] = [];
  let unsureCount = 0;
  let listCount = 0;
  let failuresLeft = 0;
  let recordedTo = 0n;
  let kept: ToldLoss | undefined;
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
      const [op = '', account = '', day = '', commitLsn = '100', index = '0'] = message
        .toString()
        .replace('gap ', '')
        .split(' ');
      const change = {
        op,
        account,
        source: {
          commitLsn: BigInt(commitLsn),
          xid: 5n,
          index: Number(index),
          committedAtMicros: 1_767_571_200_000_000n,
        },
      } as unknown as DecodedChange;
      return {
        decode: () => change,
        renderer: {
          render: () => event(account, day, 'invoice.created'),
          renderReset: (_change, each) => event(each, day, 'feed.reset'),
        },
      };
    },
    listAccounts: async () => {
      listCount += 1;
      return ACCOUNTS;
    },
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
    recordedTo: async () => recordedTo,
    losses: {
      findLoss: async (_partition, { seq }) =>
        kept !== undefined && kept.through.seq >= seq ? kept : undefined,
      keepLoss: async (_partition, loss) => {
        kept = loss;
        return loss;
      },
    },
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
      link: { chain: 'a', seq: Number(value.split(' ')[value.startsWith('gap ') ? 4 : 3] ?? 100) },
      isAfterGap: value.startsWith('gap '),
    }));
  const failNext = (count: number) => {
    failuresLeft = count;
  };
  const recordTo = (commitLsn: bigint) => {
    recordedTo = commitLsn;
  };
  /** What was inserted, a reset by its resource and place. */
  const shown = () =>
    inserted
      .flat()
      .map(({ type, resource: of, commitLsn, index, xid }) =>
        type === 'feed.reset' ? `${of} ${commitLsn}/${index} ${xid}` : type,
      );
  return {
    record,
    recordTo,
    shown,
    recordFor: (accounts: readonly string[], partitionCount: number) =>
      createRecordBatch(partitionCount, { ...deps, listAccounts: async () => accounts }),
    recordAgain: () => createRecordBatch(PARTITIONS, { ...deps, chains: createAccountChains() }),
    inserted,
    days,
    runs,
    told,
    failNext,
    unsureCount: () => unsureCount,
    listCount: () => listCount,
    messages,
  };
};

test('accounts are read once for the changes of a batch, and again for the next', async () => {
  const { record, messages, listCount } = setUp();
  await record(3, messages(['truncate * 2026-01-05', 'truncate * 2026-01-05', 'truncate * 2026-01-05']));
  expect(listCount()).toBe(1);
  await record(3, messages(['truncate * 2026-01-05']));
  expect(listCount()).toBe(2);
});

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

const ACCOUNTS_OF_3 = ACCOUNTS.filter((account) => accountPartition(account, PARTITIONS) === 3);
const resetsAt = (lsn: number) =>
  [`invoices ${lsn}/0 0`, `notes ${lsn}/1 0`].flatMap((each) => Array(ACCOUNTS_OF_3.length).fill(each));
const lost = (commitLsn: bigint): ReadChange => ({
  offset: '9',
  value: Buffer.alloc(0),
  account: undefined,
  link: undefined,
  isAfterGap: true,
  lost: {
    through: { chain: 'a', seq: Number(commitLsn) },
    place: { lsn: commitLsn, commitLsn, committedAtMicros: 1_767_571_200_000_000n },
  },
});

test('records that are missing in the topic are told to each account of the partition, ahead of what follows', async () => {
  const { record, shown, messages } = setUp();
  const isTold = await record(
    3,
    messages(['insert acc_1 2026-01-05', 'gap insert acc_1 2026-01-05', 'insert acc_1 2026-01-05']),
  );
  expect(isTold).toBe(true);
  expect(shown()).toEqual(['invoice.created', ...resetsAt(99), 'invoice.created', 'invoice.created']);
});

test('records that are missing amid a transaction are told behind it, where nobody has read yet', async () => {
  const { record, recordTo, shown, failNext, messages } = setUp();
  recordTo(100n);
  const amid = messages(['gap insert acc_1 2026-01-05 100', 'insert acc_1 2026-01-05 100']);
  expect(await record(3, amid)).toBe(false);
  const next = messages(['insert acc_1 2026-01-05 100', 'insert acc_1 2026-01-05 108']);
  failNext(1);
  await expect(record(3, next)).rejects.toThrow('lost');
  expect(await record(3, next)).toBe(true);
  const told = ['invoice.created', ...resetsAt(107), 'invoice.created'];
  // The first of those once more: it failed.
  expect(shown()).toEqual(['invoice.created', 'invoice.created', 'invoice.created', ...told]);
});

test('a loss before a change amid its transaction is told behind that, though nothing of it is recorded', async () => {
  const { record, shown, messages } = setUp();
  expect(await record(3, messages(['gap insert acc_1 2026-01-05 100 4']))).toBe(false);
  expect(await record(3, [lost(101n)])).toBe(false);
  expect(await record(3, messages(['insert acc_1 2026-01-05 108']))).toBe(true);
  expect(shown()).toEqual(['invoice.created', ...resetsAt(107), 'invoice.created']);
});

test('a loss behind which nothing comes is told once capture is past the transaction that it was amid', async () => {
  const { record, recordTo, shown } = setUp();
  recordTo(100n);
  expect(await record(3, [lost(100n)])).toBe(false);
  expect(await record(3, [lost(101n)])).toBe(false);
  expect(await record(3, [lost(102n)])).toBe(true);
  expect(shown()).toEqual(resetsAt(101));
});

test('a loss is told in the same place by a repeat, and after a crash by whoever finds the records missing again', async () => {
  const { record, recordAgain, recordTo, shown, failNext, messages } = setUp();
  const changes = messages(['gap insert acc_1 2026-01-05 100']);
  failNext(1);
  await expect(record(3, changes)).rejects.toThrow('lost');
  recordTo(100n);
  expect(await record(3, changes)).toBe(true);
  expect(await recordAgain()(3, changes)).toBe(true);
  const told = [...resetsAt(99), 'invoice.created'];
  expect(shown()).toEqual([...told, ...told, ...told]);
});

test('a loss that was held before a crash is told once more in its place, and one that goes further is another one', async () => {
  const { record, recordAgain, recordTo, shown, messages } = setUp();
  recordTo(100n);
  const amid = messages(['gap insert acc_1 2026-01-05 100', 'insert acc_1 2026-01-05 108']);
  expect(await record(3, amid)).toBe(true);
  recordTo(108n);
  expect(await recordAgain()(3, amid)).toBe(true);
  expect(await recordAgain()(3, messages(['gap insert acc_1 2026-01-05 120']))).toBe(true);
  expect(shown()).toEqual([
    ...['invoice.created', ...resetsAt(107), 'invoice.created'],
    ...[...resetsAt(107), 'invoice.created', 'invoice.created'],
    ...[...resetsAt(119), 'invoice.created'],
  ]);
});

test('resets of however many accounts go in statements within the limit', async () => {
  const { messages, inserted, recordFor } = setUp();
  const accounts = Array.from({ length: 2_300 }, (_, n) => `acc_${n}`);
  await recordFor(accounts, 1)(0, messages(['gap insert acc_1 2026-01-05', 'truncate * 2026-01-05']));
  // Two resources, the change itself, and a truncation.
  expect(inserted.flat()).toHaveLength(2 * 2_300 + 1 + 2_300);
  expect(Math.max(...inserted.map(({ length }) => length))).toBe(1_000);
});

const at = (lsn: number) => ({ commitLsn: BigInt(lsn), index: 0 });

test('events follow those of the same account, and nothing is known of the first ones', () => {
  const chains = createAccountChains();
  expect(chains.extend('a', at(10))).toBeUndefined();
  expect(chains.extend('b', at(11))).toBeUndefined();
  expect(chains.extend('a', at(12))).toEqual(at(10));
  expect(chains.extend('a', at(13))).toEqual(at(12));
});

test('events that come a second time leave the end where it was', () => {
  const chains = createAccountChains();
  chains.extend('a', at(10));
  expect(chains.extend('a', at(5))).toEqual(at(10));
  expect(chains.extend('a', at(20))).toEqual(at(10));
});

test('too many accounts are forgotten rather than kept', () => {
  const chains = createAccountChains(2);
  for (const account of ['a', 'b', 'c']) chains.extend(account, at(10));
  expect(chains.extend('a', at(20))).toBeUndefined();
  expect(chains.extend('c', at(20))).toEqual(at(10));
});
