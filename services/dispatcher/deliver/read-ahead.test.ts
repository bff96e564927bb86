import { expect, test } from 'vitest';
import type { LoggedEvent } from '../store/read-events.ts';
import type { EndpointSettings } from './endpoint.ts';
import { createLanes } from './lanes.ts';
import { createProgress } from './progress.ts';
import { createReadAhead } from './read-ahead.ts';

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
const setUp = (maxInFlight = 5_000) => {
  const settings = {
    accountId: 'acct_1',
    maxInFlight,
    selection: { patterns: ['*'], handOff: undefined },
  } as unknown as EndpointSettings;
  const log: LoggedEvent[] = [];
  const progress = createProgress(at(10), []);
  const lanes = createLanes();
  let beforeAnswer: () => void = () => undefined;
  const readAhead = createReadAhead({
    settings: () => settings,
    progress,
    lanes,
    readEvents: async (_account, after, limit) => {
      const page = log.filter(({ position }) => position.commitLsn > after.commitLsn).slice(0, limit);
      beforeAnswer();
      return page;
    },
    singularOf: () => 'invoice',
  });
  const taken = () => {
    const lsns: bigint[] = [];
    for (let next = lanes.take(0); next !== undefined; next = lanes.take(0))
      lsns.push(next.position.commitLsn);
    return lsns;
  };
  const run = (after: number | undefined, ...lsns: number[]) => {
    const events = lsns.map(event);
    log.push(...events);
    return { accountId: 'acct_1', after: after === undefined ? undefined : at(after), events };
  };
  return {
    readAhead,
    run,
    taken,
    duringRead: (work: () => void) => {
      beforeAnswer = work;
    },
  };
};

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

test('recorded events that come while the log is being read are read by the next look', async () => {
  const { readAhead, run, taken, duringRead } = setUp();
  run(undefined, 11);
  duringRead(() => expect(readAhead.take(run(11, 12))).toBe(false));
  await readAhead.read();
  expect(readAhead.mayHaveMore).toBe(true);
  duringRead(() => undefined);
  await readAhead.read();
  expect(taken()).toEqual([11n, 12n]);
});

test('an endpoint with enough to do leaves recorded events in the log', async () => {
  const { readAhead, run } = setUp(2);
  await readAhead.read();
  expect(readAhead.take(run(10, 11, 12))).toBe(true);
  expect(readAhead.take(run(12, 13))).toBe(false);
  expect(readAhead.mayHaveMore).toBe(true);
  expect(readAhead.isDue()).toBe(false);
});
