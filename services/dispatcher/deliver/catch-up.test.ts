import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ScheduledRetry } from '../../../shared/control/webhooks/save-progress.ts';
import { comparePositions, formatPosition, type Position } from '../../../shared/domain/position.ts';
import type { EndpointSettings } from '../endpoints/endpoint.ts';
import type { Delivery } from '../store/progress.ts';
import { createProgress, type ProgressState } from '../store/progress.ts';
import type { LoggedEvent } from '../store/read-events.ts';
import { createCatchUp } from './catch-up.ts';
import { createLedger } from './ledger.ts';
import { orderingKey } from './ordering-key.ts';
import { createOrderingQueues } from './ordering-queues.ts';
import { createReadAhead } from './read-ahead.ts';

const ROWS_OF_RECORD = 2;

const at = (n: number): Position => ({ commitLsn: BigInt(n), index: 0 });
const numberOf = ({ position }: { position: Position }) => Number(position.commitLsn);
const settings = {
  accountId: 'acct_1',
  maxInFlight: 5_000,
  selection: { patterns: ['*'], handOff: undefined },
} as unknown as EndpointSettings;

const event = (n: number, record: string): LoggedEvent => ({
  position: at(n),
  xid: BigInt(n),
  type: 'invoice.updated',
  resource: 'invoices',
  recordKey: record,
  committedAt: '2026-01-05T00:00:00.000000Z',
  payload: '{}',
});

/** What a crash leaves. */
interface Stored {
  state: ProgressState;
  readonly rows: Map<string, ScheduledRetry>;
}

/** An endpoint as it is after a start from what is stored, over a log that grows. */
const start = (log: readonly LoggedEvent[], stored: Stored) => {
  const lastLsn = BigInt(`0x${formatPosition(stored.state.cursor).slice(0, 16)}`);
  const progress = createProgress({ commitLsn: lastLsn, index: 0 }, stored.state.done);
  const queues = createOrderingQueues();
  const ledger = createLedger('whk_1');
  const deps = { settings: () => settings, progress, queues, singularOf: () => 'invoice', now: () => 0 };
  const readAhead = createReadAhead({
    ...deps,
    inFlight: () => 5_000,
    unsaved: () => 0,
    overflowToRetry: (delivery) => scheduleRetry(delivery),
    readEvents: async (_account, after, limit) =>
      log.filter(({ position }) => comparePositions(position, after) > 0).slice(0, limit),
  });
  let beforeAnswer: () => Promise<unknown> = async () => undefined;
  const catchUp = createCatchUp({
    ...deps,
    readRecordEvents: async (_account, record, after, upTo) => {
      const found = log.filter(
        ({ position, recordKey }) =>
          `invoices/${recordKey}` === record &&
          comparePositions(position, after) > 0 &&
          comparePositions(position, upTo) <= 0,
      );
      const events = found.slice(0, ROWS_OF_RECORD);
      await beforeAnswer();
      return { events, readTo: found.length > events.length ? events.at(-1)?.position : undefined };
    },
  });
  const rows = [...stored.rows.values()].toSorted((a, b) => comparePositions(a.position, b.position));
  for (const row of rows) {
    queues.addRetry({
      ...row,
      resource: 'invoices',
      type: undefined,
      payload: undefined,
      readAtMs: 0,
      inlineCharacters: 0,
      pending: undefined,
      nextAttemptAtMs: row.nextAttemptAtMs ?? 0,
      askedXid: row.askedXid,
    });
  }
  const finish = (delivery: Delivery) => {
    if (delivery.pending !== undefined) progress.finish(delivery.pending);
    delivery.pending = undefined;
  };
  const scheduleRetry = (delivery: Delivery) => {
    ledger.scheduleRetry(delivery, 'waiting', undefined, undefined);
    finish(delivery);
  };
  const save = () => {
    const { retries, endedRetries } = ledger.take();
    for (const row of retries) stored.rows.set(formatPosition(row.position), row);
    for (const row of endedRetries) stored.rows.delete(formatPosition(row.position));
    stored.state = progress.state();
  };
  return {
    queues,
    save,
    read: async () => {
      readAhead.wake();
      await readAhead.read();
    },
    overflow: (limit: number, ofRecord: number) => {
      const { retries, passed } = queues.overflow(limit, ofRecord);
      for (const delivery of retries) scheduleRetry(delivery);
      for (const delivery of passed) finish(delivery);
    },
    /** With something that happens while the log is read. */
    catchUp: async (during: () => Promise<unknown> = async () => undefined) => {
      beforeAnswer = during;
      for (const delivery of await catchUp.read()) {
        ledger.scheduleRetry(delivery, 'waiting', delivery.nextAttemptAtMs || undefined, undefined);
      }
      beforeAnswer = async () => undefined;
    },
    /** @returns the event that was delivered, if one was and `fails` does not say otherwise */
    attempt: (nowMs: number, fails: (delivery: Delivery) => boolean): number | undefined => {
      const batch = queues.take(nowMs);
      if (batch === undefined) return undefined;
      const [delivery] = batch.deliveries;
      if (fails(delivery)) {
        delivery.nextAttemptAtMs = nowMs + 100;
        ledger.scheduleRetry(delivery, 'waiting', delivery.nextAttemptAtMs, undefined);
        finish(delivery);
        queues.scheduleRetry(delivery);
        return undefined;
      }
      if (delivery.pending === undefined) ledger.endRetry(delivery);
      finish(delivery);
      queues.complete(batch);
      return numberOf(delivery);
    },
  };
};

const STEPS = [
  'record',
  'read',
  'overflow',
  'deliver',
  'deliver',
  'fail',
  'fall behind',
  'catch up',
  'read meanwhile',
  'save',
  'save and crash',
  'crash',
] as const;

test('whatever fails, waits or crashes: no event of a record is lost, overtaken or sent again after it was saved', async () => {
  const step = fc.record({
    kind: fc.constantFrom(...STEPS),
    // The database may take the first two as one.
    records: fc.array(fc.constantFrom('a', 'A', 'b'), { minLength: 1, maxLength: 6 }),
    limit: fc.integer({ min: 1, max: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 120 }), async (steps) => {
      const log: LoggedEvent[] = [];
      const stored: Stored = { state: { cursor: at(0), done: [] }, rows: new Map() };
      const delivered = new Set<number>();
      const saved = new Set<number>();
      /** Delivered since the last save or crash. */
      const unsaved = new Set<number>();
      let endpoint = start(log, stored);
      let nowMs = 0;
      const recordAll = (records: readonly string[]) => {
        for (const record of records) log.push(event(log.length + 1, record));
      };
      const attempt = (fails: boolean) => {
        nowMs += 60;
        const n = endpoint.attempt(nowMs, () => fails);
        if (n === undefined) return;
        expect(saved.has(n) || unsaved.has(n)).toBe(false);
        const keyOf = ({ recordKey = '' }: Partial<LoggedEvent> = {}) => orderingKey(`invoices/${recordKey}`);
        const earlier = log.slice(0, n - 1).filter((other) => keyOf(other) === keyOf(log[n - 1]));
        expect(earlier.every((other) => delivered.has(numberOf(other)))).toBe(true);
        delivered.add(n);
        unsaved.add(n);
      };
      const save = () => {
        endpoint.save();
        for (const n of unsaved) saved.add(n);
        unsaved.clear();
      };
      const crash = () => {
        endpoint = start(log, stored);
        unsaved.clear();
      };
      for (const { kind, records, limit } of steps) {
        if (kind === 'record') recordAll(records);
        else if (kind === 'read') await endpoint.read();
        else if (kind === 'overflow') endpoint.overflow(limit, ROWS_OF_RECORD);
        else if (kind === 'fall behind') {
          recordAll(records);
          await endpoint.read();
          attempt(true);
          endpoint.overflow(4, ROWS_OF_RECORD);
        } else if (kind === 'catch up') await endpoint.catchUp();
        else if (kind === 'read meanwhile') {
          await endpoint.catchUp(async () => {
            recordAll(records);
            await endpoint.read();
          });
        } else if (kind === 'save') save();
        else if (kind === 'crash') crash();
        else if (kind === 'save and crash') {
          save();
          crash();
        } else attempt(kind === 'fail');
      }
      for (let round = 0; delivered.size < log.length && round < 2_000; round++) {
        await endpoint.read();
        await endpoint.catchUp();
        attempt(false);
      }
      expect([...delivered].toSorted((a, b) => a - b)).toEqual(log.map(numberOf));
    }),
    { numRuns: 1_000 },
  );
});

test('a record whose event fails costs a few rows, however many events of it follow, and others go on', async () => {
  const log: LoggedEvent[] = [];
  const stored: Stored = { state: { cursor: at(0), done: [] }, rows: new Map() };
  const endpoint = start(log, stored);
  const isOfA = ({ record }: Delivery) => record === 'invoices/a';
  for (let n = 1; n <= 400; n++) {
    log.push(event(n, n % 10 === 0 ? 'b' : 'a'));
    await endpoint.read();
    endpoint.attempt(0, isOfA);
    endpoint.overflow(500, ROWS_OF_RECORD);
  }
  endpoint.save();
  expect(stored.rows.size).toBe(ROWS_OF_RECORD);
  expect(stored.state).toEqual({ cursor: at(400), done: [] });
  const order: number[] = [];
  for (let round = 0; round < 2_000 && order.length < 360; round++) {
    await endpoint.catchUp();
    const n = endpoint.attempt(1_000, () => false);
    if (n !== undefined) order.push(n);
  }
  expect(order).toEqual(log.filter(({ recordKey }) => recordKey === 'a').map(numberOf));
  endpoint.save();
  expect(stored.rows.size).toBe(0);
});

test('events that were passed ahead of a slow one are neither lost nor sent again by two crashes', async () => {
  const log = ['b', ...Array.from({ length: 8 }, () => 'a')].map((record, n) => event(n + 1, record));
  const stored: Stored = { state: { cursor: at(0), done: [] }, rows: new Map() };
  const begin = async () => {
    const endpoint = start(log, stored);
    await endpoint.read();
    // The first event's request takes long: the cursor stays in front of it.
    endpoint.queues.take(0);
    return endpoint;
  };
  const first = await begin();
  first.attempt(0, () => true);
  first.overflow(500, ROWS_OF_RECORD);
  first.save();
  expect(stored.state.cursor).toEqual(at(0));
  const second = start(log, stored);
  const order: number[] = [];
  for (let round = 0; round < 50; round++) {
    await second.catchUp();
    const n = second.attempt(1_000, () => false);
    if (n !== undefined) order.push(n);
    second.save();
    if (round === 3) {
      await second.read();
      second.queues.take(1_000);
    }
  }
  expect(order.filter((n) => n > 1)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
  const third = await begin();
  expect(third.queues.take(2_000)).toBeUndefined();
});
