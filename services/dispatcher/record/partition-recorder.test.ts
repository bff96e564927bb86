import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { ChainLink } from '../../../shared/protocol/headers.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import type { ReadChange } from './backlog.ts';
import { createPartitionRecorder, createReadChanges } from './partition-recorder.ts';

const setUpReading = (stored: ChainLink | null = null) => {
  let asked = 0;
  const read = createReadChanges(async () => {
    asked += 1;
    return stored;
  });
  /** What was found at each, and where it stands in the count. */
  const take = async (...links: string[]) => {
    const changes = await read(
      links.map((chain, offset) => ({ offset: String(offset), value: Buffer.from(''), headers: { chain } })),
    );
    return changes.map(({ isAfterGap, link }) =>
      isAfterGap ? 'gap' : link === undefined ? 'again' : 'next',
    );
  };
  return { read, take, asked: () => asked };
};

test('records that are missing in the topic are noticed once, where they should be', async () => {
  const { take } = setUpReading();
  // Nothing was recorded before, then the next ones, then some again.
  expect(await take('aa:7', 'aa:8')).toEqual(['next', 'next']);
  expect(await take('aa:7', 'aa:8', 'aa:9')).toEqual(['again', 'again', 'next']);
  expect(await take('aa:11')).toEqual(['gap']);
  expect(await take('aa:12', 'aa:14', 'aa:15')).toEqual(['next', 'gap', 'next']);
  // A state of capture that was lost, and what is left of the chain before it.
  expect(await take('ab:1', 'aa:16', 'ab:2')).toEqual(['gap', 'again', 'next']);
});

test('who takes a partition over asks once how far it is recorded', async () => {
  const { take, asked } = setUpReading({ chain: 'aa', seq: 20 });
  expect(await take('aa:19', 'aa:20', 'aa:21')).toEqual(['again', 'again', 'next']);
  expect(await take('aa:23')).toEqual(['gap']);
  expect(asked()).toBe(1);
});

test('reads that wait together for how far it is recorded count on from each other', async () => {
  const { take, asked } = setUpReading({ chain: 'aa', seq: 20 });
  const both = Promise.all([take('aa:21', 'aa:22'), take('aa:22', 'aa:23')]);
  expect(await both).toEqual([
    ['next', 'next'],
    ['again', 'next'],
  ]);
  expect(asked()).toBe(1);
});

test('a change is of the account that its headers name, unless it concerns all', async () => {
  const { read } = setUpReading();
  const headers = [
    { account: Buffer.from('acc_1'), op: Buffer.from('update') },
    { account: Buffer.from('acc_1'), op: Buffer.from('truncate') },
    { account: Buffer.from('*'), op: Buffer.from('truncate') },
    {},
  ];
  const changes = await read(
    headers.map((each, offset) => ({ offset: String(offset), value: Buffer.from(''), headers: each })),
  );
  expect(changes.map(({ account }) => account)).toEqual(['acc_1', undefined, undefined, undefined]);
});

/** Statements end when the test says so. */
const setUp = () => {
  const statements: {
    readonly changes: readonly ReadChange[];
    readonly accounts: string[];
    readonly end: (error?: Error) => void;
  }[] = [];
  const told: string[] = [];
  const links: (number | undefined)[] = [];
  let isLossTold = true;
  let bytes = 0;
  let earliest = 0n;
  const recorder = createPartitionRecorder(
    {
      partition: 0,
      read: createReadChanges(async () => ({ chain: 'a', seq: 1 })),
      record: (_partition, changes) =>
        new Promise((resolve, reject) => {
          const end = (error?: Error) => (error === undefined ? resolve(isLossTold) : reject(error));
          statements.push({ changes, accounts: changes.map(({ account = '*' }) => account), end });
        }),
      inTurn: (work) => work(),
      start: async () => 10n,
      earliest: async () => earliest,
      onRecorded({ offset, link }) {
        told.push(offset);
        links.push(link?.seq);
      },
      onBytes(change) {
        bytes += change;
      },
      log: silentLog,
    },
    new AbortController().signal,
  );
  let offset = -1;
  const add = (account: string, count: number) =>
    recorder.add(
      Array.from({ length: count }, () => {
        offset += 1;
        return { offset: String(offset), value: Buffer.from('x'), headers: { account, op: 'insert' } };
      }),
    );
  /** By their numbers in the chain. */
  const addCounted = (...counted: readonly (readonly [account: string, seq: number])[]) =>
    recorder.add(
      counted.map(([account, seq]) => {
        offset += 1;
        const headers = { account, op: 'insert', chain: `a:${seq}` };
        return { offset: String(offset), value: Buffer.from('x'), headers };
      }),
    );
  const holdLoss = (isHeld: boolean) => {
    isLossTold = !isHeld;
  };
  const deleteBefore = (offset: bigint) => {
    earliest = offset;
  };
  return { recorder, statements, told, links, add, addCounted, holdLoss, deleteBefore, bytes: () => bytes };
};

test('one account’s change goes with the next statement, however many of another wait', async () => {
  const { recorder, statements, told, add, bytes } = setUp();
  await add('large', 5_000);
  await add('small', 1);
  expect(statements).toHaveLength(1);
  statements[0]?.end();
  await recorder.progressed();
  expect(statements[1]?.accounts).toContain('small');
  expect(told).toEqual(['999']);
  for (let n = 1; n < 6; n++) {
    statements[n]?.end();
    await recorder.progressed();
  }
  expect(told.at(-1)).toBe('5000');
  expect([bytes(), recorder.bytes]).toEqual([0, 0]);
});

test('what comes in just when all is recorded is recorded too', async () => {
  const { statements, told, add } = setUp();
  await add('a', 1);
  for (let n = 0; n < 50; n++) {
    statements[n]?.end();
    // Some microtasks later each time.
    for (let wait = 0; wait < n % 10; wait++) await undefined;
    await add('a', 1);
    await nextTurn();
    expect(statements).toHaveLength(n + 2);
  }
  statements[50]?.end();
  await nextTurn();
  expect(told.at(-1)).toBe('50');
});

test('once others may have the partition nothing more is recorded or told', async () => {
  const { recorder, statements, told, add, bytes } = setUp();
  await add('a', 2_000);
  recorder.abandon();
  await recorder.add([{ offset: '9', value: Buffer.from('x') }]);
  recorder.pass('9');
  statements[0]?.end();
  await nextTurn();
  expect(statements).toHaveLength(1);
  expect(told).toEqual([]);
  expect([bytes(), recorder.bytes]).toEqual([0, 0]);
});

test('what does not follow is read from where it breaks off, unless nothing is there to be read', async () => {
  const { recorder, deleteBefore } = setUp();
  // Behind what is committed, and from before it, as of a topic that was made again.
  expect(await recorder.findBreak('10')).toBeUndefined();
  expect(await recorder.findBreak('0')).toBeUndefined();
  expect(await recorder.findBreak('12')).toBe('10');
  recorder.pass('14');
  expect(await recorder.findBreak('15')).toBeUndefined();
  expect(await recorder.findBreak('17')).toBe('15');
  // The offsets between were never given to a record: it was read from there.
  expect(await recorder.findBreak('17')).toBeUndefined();
  deleteBefore(30n);
  expect(await recorder.findBreak('31')).toBe('30');
  expect(await recorder.findBreak('30')).toBeUndefined();
});

test('while a loss is not told all goes in order, and nothing is noted that a crash would lose the loss by', async () => {
  const { recorder, statements, told, links, addCounted, holdLoss } = setUp();
  const end = async (n: number) => {
    statements[n]?.end();
    await nextTurn();
  };
  const place = { lsn: 9n, commitLsn: 9n, committedAtMicros: 0n };
  await addCounted(['a', 2]);
  expect(await recorder.loseTail({ chain: 'a', seq: 2 }, 9n, place)).toBe(false);
  await addCounted(['a', 4], ['a', 5], ['b', 6], ['a', 7]);
  await end(0);
  holdLoss(true);
  await end(1);
  await addCounted(['a', 8], ['b', 9], ['a', 10]);
  await end(2);
  expect(told).toEqual(['0', '4', '7']);
  expect(links).toEqual([2, undefined, undefined]);
  expect(await recorder.loseTail({ chain: 'a', seq: 8 }, 9n, place)).toBe(true);
  holdLoss(false);
  await end(3);
  expect(links).toEqual([2, undefined, undefined, 10]);
  await addCounted(['a', 11], ['b', 12], ['a', 13]);
  await end(4);
  expect(
    statements.map(({ changes }) => changes.map(({ link, lost }) => lost?.place.commitLsn ?? link?.seq)),
  ).toEqual([
    [2],
    [4, 5, 6, 7],
    [8, 9, 10],
    [9n],
    // Accounts take turns again.
    [11, 13, 12],
  ]);
});
