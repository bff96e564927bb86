import fc from 'fast-check';
import { expect, test } from 'vitest';
import { comparePositions, formatPosition } from '../../../shared/domain/position.ts';
import type { EndpointSettings } from '../endpoints/endpoint.ts';
import { createProgress } from '../store/progress.ts';
import type { LoggedEvent } from '../store/read-events.ts';
import { createOrderingQueues } from './ordering-queues.ts';
import { createReadAhead } from './read-ahead.ts';

const nothing = () => undefined;
const at = (lsn: number) => ({ commitLsn: BigInt(lsn), index: 0 });
const event = (lsn: number): LoggedEvent => ({
  position: at(lsn),
  xid: BigInt(lsn),
  type: 'invoice.created',
  resource: 'invoices',
  recordKey: `["${lsn}"]`,
  committedAt: '2026-01-05T00:00:00.000000Z',
  payload: '{}',
});

/** An endpoint whose cursor is at 10, over a log that the test fills. */
const setUp = (maxInFlight = 5_000, patterns = ['*'], inFlight = 5_000, unsaved = 0) => {
  const settings = {
    accountId: 'acct_1',
    maxInFlight,
    selection: { patterns, handOff: undefined },
  } as unknown as EndpointSettings;
  const log: LoggedEvent[] = [];
  const progress = createProgress(at(10), []);
  const queues = createOrderingQueues();
  let beforeLook: () => unknown = () => undefined;
  let beforeAnswer: () => unknown = () => undefined;
  const readAhead = createReadAhead({
    settings: () => settings,
    inFlight: () => inFlight,
    unsaved: () => unsaved,
    overflowToRetry: () => undefined,
    progress,
    queues,
    readEvents: async (_account, after, limit) => {
      const wait = beforeAnswer;
      await beforeLook();
      const page = log
        .filter(({ position }) => position.commitLsn > after.commitLsn)
        .toSorted((x, y) => comparePositions(x.position, y.position))
        .slice(0, limit);
      await wait();
      return page;
    },
    singularOf: () => 'invoice',
    now: () => 0,
  });
  /** Starts and finishes deliveries, of records that are all different. */
  const taken = (limit = Number.POSITIVE_INFINITY) => {
    const lsns: bigint[] = [];
    while (lsns.length < limit) {
      const next = queues.take(0);
      if (next === undefined) break;
      lsns.push(next.deliveries[0].position.commitLsn);
      queues.complete(next);
    }
    return lsns;
  };
  const run = (after: number | undefined, ...lsns: number[]) => {
    const events = lsns.map(event);
    log.push(...events);
    return { accountId: 'acct_1', after: after === undefined ? undefined : at(after), events };
  };
  return {
    readAhead,
    progress,
    queues,
    run,
    taken,
    /** What is waited for before the log is looked at, and before what was found there comes back. */
    duringRead: (look: () => unknown, answer: () => unknown) => {
      beforeLook = look;
      beforeAnswer = answer;
    },
  };
};

const from = (lsn: number, count: number) => Array.from({ length: count }, (_, n) => lsn + n);

test('recorded events that follow what was read are taken as they are, each once', async () => {
  const { readAhead, run, taken } = setUp();
  expect(await readAhead.read()).toBe(0);
  expect(readAhead.take(run(8, 11, 12))).toBe(true);
  expect(readAhead.take(run(12, 12, 13))).toBe(true);
  expect(readAhead.mayHaveMore).toBe(false);
  expect(taken()).toEqual([11n, 12n, 13n]);
});

test.each([
  ['come after others that were not read', 15],
  ['follow nobody knows what', undefined],
])('recorded events that %s are read from the log', async (_what, after) => {
  const { readAhead, run, taken } = setUp();
  await readAhead.read();
  run(undefined, 11);
  expect(readAhead.take(run(after, 16))).toBe(false);
  expect(readAhead.mayHaveMore).toBe(true);
  await readAhead.read();
  expect(taken()).toEqual([11n, 16n]);
});

test('recorded events that come while the log is being read are taken with the page, without another look', async () => {
  const { readAhead, run, taken, duringRead } = setUp();
  run(undefined, 11);
  const offer = () => {
    expect(readAhead.take(run(11, 12))).toBe(false);
    expect(readAhead.take(run(12, 13, 14))).toBe(false);
  };
  duringRead(nothing, offer);
  expect(await readAhead.read()).toBe(4);
  expect(readAhead.mayHaveMore).toBe(false);
  expect(readAhead.take(run(14, 15))).toBe(true);
  expect(taken()).toEqual([11n, 12n, 13n, 14n, 15n]);
});

test.each([
  { how: 'after others that the page lacks', unseen: [12, 13], offered: [[13, 14]], first: [11] },
  { how: 'in greater number than a page', unseen: [], offered: [[11, ...from(12, 251)]], first: [11] },
  {
    how: 'on both sides of others',
    unseen: [13],
    offered: [
      [11, 12],
      [13, 14],
    ],
    first: [11, 12],
  },
])('recorded events that come $how while the log is being read are read by the next look', async (given) => {
  const { readAhead, run, taken, duringRead } = setUp();
  run(undefined, 11);
  duringRead(nothing, () => {
    for (const [after, ...lsns] of given.offered) expect(readAhead.take(run(after, ...lsns))).toBe(false);
    run(undefined, ...given.unseen);
  });
  await readAhead.read();
  expect(taken()).toEqual(given.first.map(BigInt));
  expect(readAhead.mayHaveMore).toBe(true);
  duringRead(nothing, nothing);
  const rest: bigint[] = [];
  while (readAhead.mayHaveMore) {
    await readAhead.read();
    rest.push(...taken());
  }
  const all = [...given.unseen, ...given.offered.flatMap(([, ...lsns]) => lsns)].toSorted((x, y) => x - y);
  expect(rest).toEqual(all.filter((lsn) => !given.first.includes(lsn)).map(BigInt));
});

test('an endpoint with enough to do leaves recorded events in the log', async () => {
  const { readAhead, run } = setUp(2);
  await readAhead.read();
  expect(readAhead.take(run(10, 11, 12))).toBe(true);
  expect(readAhead.take(run(12, 13))).toBe(false);
  expect(readAhead.mayHaveMore).toBe(true);
  expect(readAhead.isDue()).toBe(false);
});

test('an event that is left to the log, because its record is behind, counts as finished and not as skipped', async () => {
  const { readAhead, run, progress, queues } = setUp();
  queues.pass = (record) => record === 'invoices/["12"]';
  run(undefined, 11, 12, 13);
  await readAhead.read();
  // A cursor that stays before 11 has 12 on record, so that after a crash it is not read once more, in front of its record's others.
  expect(progress.state()).toEqual({ cursor: at(10), done: [formatPosition(at(12))] });
  expect(progress.aheadCount).toBe(3);
});

test('an event that is not wanted is skipped, and so the cursor passes it with the one before', async () => {
  const { readAhead, run, progress, queues } = setUp(5_000, ['invoice.deleted']);
  run(undefined, 11, 12);
  await readAhead.read();
  expect(progress.state()).toEqual({ cursor: at(12), done: [] });
  expect(queues.readyCount).toBe(0);
});

/** What may happen around an endpoint, in any order. */
const STEPS = [
  'offered',
  'not offered',
  'recorded by others',
  'look',
  'look begins',
  'look ends',
  'delivered',
] as const;

test('in whatever order events are recorded, offered, read and delivered, all arrive once and in order', async () => {
  const step = fc.record({ kind: fc.constantFrom(...STEPS), count: fc.integer({ min: 1, max: 30 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1, max: 6 }),
      async (steps, window) => {
        const { readAhead, run, taken, duringRead } = setUp(window);
        const arrived: bigint[] = [];
        const recorded: bigint[] = [];
        let lsn = 10;
        let after: number | undefined = 10;
        let look: { ended: Promise<number>; end: () => void } | undefined;
        const endLook = async () => {
          look?.end();
          await look?.ended;
          look = undefined;
        };
        const record = (count: number, isOffered: boolean) => {
          const lsns = Array.from({ length: count }, (_, n) => lsn + 1 + n);
          recorded.push(...lsns.map(BigInt));
          lsn += count;
          const events = run(after, ...lsns);
          if (isOffered) readAhead.take(events);
          else readAhead.wake();
        };
        for (const { kind, count } of steps) {
          if (kind === 'offered' || kind === 'not offered') {
            record(count, kind === 'offered');
            after = lsn;
          } else if (kind === 'recorded by others') {
            record(count, false);
            after = undefined;
          } else if (kind === 'look') {
            if (look === undefined && readAhead.isDue()) await readAhead.read();
          } else if (kind === 'look begins') {
            if (look !== undefined || !readAhead.isDue()) continue;
            const gate = Promise.withResolvers<void>();
            const isLate = count % 2 === 0;
            duringRead(isLate ? () => gate.promise : nothing, isLate ? nothing : () => gate.promise);
            look = { ended: readAhead.read(), end: gate.resolve };
            duringRead(nothing, nothing);
          } else if (kind === 'look ends') await endLook();
          else arrived.push(...taken(count));
        }
        await endLook();
        for (let rounds = 0; rounds < 1_000 && readAhead.mayHaveMore; rounds++) {
          arrived.push(...taken());
          await readAhead.read();
        }
        arrived.push(...taken());
        expect(arrived).toEqual(recorded);
      },
    ),
    { numRuns: 500 },
  );
});

test('an endpoint whose few requests hang reads the next page when little is left of the last, however many it may have', async () => {
  const { readAhead, run, taken } = setUp(100, ['*'], 2);
  run(undefined, ...Array.from({ length: 400 }, (_, n) => 11 + n));
  expect(await readAhead.read()).toBe(20);
  expect(readAhead.isDue()).toBe(false);
  taken(16);
  expect(readAhead.isDue()).toBe(false);
  taken(1);
  expect(readAhead.isDue()).toBe(true);
  expect(readAhead.take(run(410, 411))).toBe(false);
});

test('an endpoint that did much since the last save reads ahead as much again, of few requests under way', async () => {
  const { readAhead, run, taken } = setUp(50, ['*'], 3, 200);
  run(undefined, ...from(11, 600));
  expect(await readAhead.read()).toBe(250);
  taken(44);
  expect(readAhead.isDue()).toBe(false);
  taken(1);
  expect(readAhead.isDue()).toBe(true);
});
