import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FEED_LIMIT } from '../../../shared/domain/position.ts';
import { type Delivery, NEVER_ASKED } from '../store/progress.ts';
import { createDeliveryBatch, type DeliveryBatch, halve, MAX_BATCH_BYTES } from './delivery-batch.ts';
import { createOrderingQueues, type OrderingQueues } from './ordering-queues.ts';

const delivery = (n: number, record: string, part: Partial<Delivery> = {}): Delivery => ({
  position: { commitLsn: BigInt(n), index: 0 },
  committedAt: '2026-01-01T00:00:00.000000Z',
  type: 'invoice.updated',
  resource: 'invoices',
  record,
  payload: '{}',
  attemptCount: 0,
  readAtMs: 0,
  inlineCharacters: 2,
  pending: undefined,
  nextAttemptAtMs: 0,
  askedXid: NEVER_ASKED,
  ...part,
});
const numberOf = ({ position }: Delivery) => Number(position.commitLsn);
const numbersOf = (batch: DeliveryBatch | undefined) => batch?.deliveries.map(numberOf);
const take = (queues: OrderingQueues, nowMs = 0): DeliveryBatch => {
  const batch = queues.take(nowMs);
  if (batch === undefined) throw new Error('nothing may start');
  return batch;
};

test('of one record only one is under way, in order', () => {
  const queues = createOrderingQueues();
  for (const [n, queue] of [
    [1, 'a'],
    [2, 'a'],
    [3, 'b'],
  ] as const)
    queues.enqueue(delivery(n, queue));
  const one = take(queues);
  expect(numbersOf(one)).toEqual([1]);
  expect(numbersOf(queues.take(0))).toEqual([3]);
  expect(queues.take(0)).toBeUndefined();
  queues.complete(one);
  expect(numbersOf(queues.take(0))).toEqual([2]);
});

test('records whose keys may be equal to the database keep their order among each other', () => {
  const queues = createOrderingQueues();
  queues.enqueue(delivery(1, 'people/["Ann"]'));
  queues.enqueue(delivery(2, 'people/["ANN"]'));
  queues.enqueue(delivery(3, 'people/["Bob"]'));
  const one = take(queues);
  expect(numbersOf(one)).toEqual([1]);
  expect(numbersOf(queues.take(0))).toEqual([3]);
  expect(queues.take(0)).toBeUndefined();
  const [gone] = one.deliveries;
  gone.nextAttemptAtMs = 5_000;
  queues.scheduleRetry(gone);
  // None of the two is left to the log, where only one of them would be looked for.
  expect(queues.take(100)).toBeUndefined();
  queues.enqueue(delivery(4, 'people/["Ann"]'));
  const { retries, passed } = queues.overflow(10, 1);
  expect([retries.map(numberOf), passed]).toEqual([[2], []]);
  expect(numbersOf(queues.take(6_000))).toEqual([1]);
});

test('a batch that failed is halved with records whose keys may be equal in one half', () => {
  const deliveries = [
    delivery(1, 'people/["Ann"]'),
    delivery(2, 'people/["Bob"]'),
    delivery(3, 'people/["ANN"]'),
  ] as const;
  expect(halve(createDeliveryBatch(...deliveries))?.map(numbersOf)).toEqual([[1, 3], [2]]);
});

test('a retry holds back its own record only, until its time has come', () => {
  const queues = createOrderingQueues();
  for (const [n, queue] of [
    [1, 'a'],
    [2, 'a'],
    [3, 'b'],
  ] as const)
    queues.enqueue(delivery(n, queue));
  const [one] = take(queues).deliveries;
  one.nextAttemptAtMs = 5_000;
  queues.scheduleRetry(one);
  expect(queues.nextDueAtMs(0)).toBeLessThanOrEqual(5_000);
  expect(numbersOf(queues.take(100))).toEqual([3]);
  expect(queues.take(4_999)).toBeUndefined();
  const again = take(queues, 5_000);
  expect(again.deliveries).toEqual([one]);
  queues.complete(again);
  expect(queues.retryCount).toBe(0);
  expect(numbersOf(queues.take(5_000))).toEqual([2]);
});

test('what overflows to retry behind another follows it at once when that is done', () => {
  const queues = createOrderingQueues();
  queues.addRetry(delivery(1, 'a', { nextAttemptAtMs: 1_000 }));
  for (const n of [2, 3, 4]) queues.enqueue(delivery(n, 'a'));
  queues.enqueue(delivery(5, 'b'));
  expect(queues.overflow(2, 50).retries.map(numberOf)).toEqual([2, 3]);
  expect(queues.retryCount).toBe(3);
  const order: number[] = [];
  for (let batch = queues.take(1_000); batch !== undefined; batch = queues.take(1_000)) {
    order.push(...batch.deliveries.map(numberOf));
    queues.complete(batch);
  }
  expect(order.filter((n) => n !== 5)).toEqual([1, 2, 3, 4]);
});

test('a delivery given back lets other records go first', () => {
  const queues = createOrderingQueues();
  for (const [n, queue] of [
    [1, 'a'],
    [2, 'b'],
  ] as const)
    queues.enqueue(delivery(n, queue));
  const one = take(queues);
  queues.giveBack(one);
  expect(numbersOf(queues.take(0))).toEqual([2]);
  expect(queues.take(0)).toBe(one);
});

test('an event asked for again comes before the later ones of its record, and never twice', () => {
  const queues = createOrderingQueues();
  queues.addRetry(delivery(5, 'a', { nextAttemptAtMs: 9_000 }));
  queues.addRetry(delivery(3, 'a'));
  queues.addRetry(delivery(3, 'a'));
  expect(queues.retryCount).toBe(2);
  const three = take(queues);
  expect(numbersOf(three)).toEqual([3]);
  queues.complete(three);
  expect(queues.take(0)).toBeUndefined();
});

test('a retry asked for again need not wait for its time', () => {
  const queues = createOrderingQueues();
  queues.addRetry(delivery(5, 'a', { nextAttemptAtMs: 9_000, attemptCount: 3 }));
  expect(queues.take(100)).toBeUndefined();
  queues.addRetry(delivery(5, 'a', { nextAttemptAtMs: 100 }));
  expect(take(queues, 200).deliveries[0]).toMatchObject({ attemptCount: 0 });
  expect(queues.retryCount).toBe(1);
});

test('a retry asked for again that is due and not begun goes once, as it was asked for', () => {
  const queues = createOrderingQueues();
  queues.addRetry(delivery(1, 'a', { nextAttemptAtMs: 50, attemptCount: 3 }));
  expect(queues.hasReady(60)).toBe(true);
  queues.addRetry(delivery(1, 'a', { nextAttemptAtMs: 55 }));
  expect(take(queues, 60).deliveries[0]).toMatchObject({ nextAttemptAtMs: 55, attemptCount: 0 });
  expect(queues.retryCount).toBe(1);
});

test('a retry asked for again behind another of its record follows that at once', () => {
  const queues = createOrderingQueues();
  queues.addRetry(delivery(2, 'a', { nextAttemptAtMs: 9_000, attemptCount: 3 }));
  for (const n of [1, 2]) queues.addRetry(delivery(n, 'a', { nextAttemptAtMs: 100 }));
  const first = take(queues, 100);
  expect(numbersOf(first)).toEqual([1]);
  queues.complete(first);
  expect(take(queues, 200).deliveries[0]).toMatchObject({ nextAttemptAtMs: 100, attemptCount: 0 });
});

test('what was read before a retry ended is passed over, unless it was asked for again', () => {
  const queues = createOrderingQueues();
  const rows = () => [1, 2, 3].map((n) => delivery(n, `r${n}`, { nextAttemptAtMs: 50 }));
  for (const row of rows()) queues.addRetry(row);
  const [gone, later, asked] = [take(queues, 60), take(queues, 60), take(queues, 60)];
  queues.reads.begin();
  queues.complete(gone);
  later.deliveries[0].nextAttemptAtMs = 9_000;
  queues.scheduleRetry(later.deliveries[0]);
  queues.complete(asked);
  for (const row of rows().slice(0, 2)) queues.addRetry(row);
  queues.addRetry(delivery(3, 'r3', { nextAttemptAtMs: 50, askedXid: '7' }));
  queues.reads.finish();
  expect(numbersOf(queues.take(70))).toEqual([3]);
  expect(queues.take(70)).toBeUndefined();
  expect(queues.retryCount).toBe(2);
  // What is read from now on is as it is.
  queues.addRetry(delivery(1, 'r1', { nextAttemptAtMs: 50 }));
  expect(numbersOf(queues.take(80))).toEqual([1]);
});

test('an event asked for again while it is under way goes once more', () => {
  const queues = createOrderingQueues();
  queues.addRetry(delivery(1, 'a', { nextAttemptAtMs: 50, attemptCount: 2 }));
  queues.enqueue(delivery(2, 'a'));
  const under = take(queues, 60);
  // As it was read while nobody had asked.
  queues.addRetry(delivery(1, 'a', { nextAttemptAtMs: 50, attemptCount: 2 }));
  expect(under.deliveries[0].askedAgain).toBeUndefined();
  queues.addRetry(delivery(1, 'a', { nextAttemptAtMs: 50, askedXid: '7' }));
  queues.complete(under);
  const again = take(queues, 60);
  expect(again.deliveries[0]).toMatchObject({ position: { commitLsn: 1n }, attemptCount: 0 });
  queues.complete(again);
  expect(numbersOf(queues.take(60))).toEqual([2]);
  expect(queues.retryCount).toBe(0);
});

test('an event asked for again after it failed, and before that is saved, goes at once', () => {
  const queues = createOrderingQueues();
  queues.addRetry(delivery(1, 'a', { nextAttemptAtMs: 50, attemptCount: 2 }));
  const [failed] = take(queues, 60).deliveries;
  failed.attemptCount = 3;
  failed.nextAttemptAtMs = 9_000;
  queues.addRetry(delivery(1, 'a', { nextAttemptAtMs: 70, askedXid: '7' }));
  queues.scheduleRetry(failed);
  expect(take(queues, 70).deliveries[0]).toMatchObject({ attemptCount: 0, askedXid: '7' });
});

test('a batch holds what may go in the order of positions, a record whole or in its first part', () => {
  const queues = createOrderingQueues({ maxEvents: 4, maxWaitMs: 100 });
  for (const [n, queue] of ['a', 'b', 'a', 'a', 'c', 'b'].entries()) queues.enqueue(delivery(n + 1, queue));
  const batch = take(queues);
  expect(numbersOf(batch)).toEqual([1, 2, 3, 4]);
  // The rest of b is behind what is under way, and c alone is waited with.
  expect(queues.take(0)).toBeUndefined();
  expect(queues.nextDueAtMs(0)).toBe(100);
  expect(numbersOf(queues.take(100))).toEqual([5]);
  queues.complete(batch);
  expect(numbersOf(queues.take(100))).toEqual([6]);
});

test('a batch that is not full waits, a full one and one that has waited do not', () => {
  const queues = createOrderingQueues({ maxEvents: 3, maxWaitMs: 100 });
  queues.enqueue(delivery(1, 'a', { readAtMs: 1_000 }));
  queues.enqueue(delivery(2, 'b', { readAtMs: 1_050 }));
  expect(queues.take(1_099)).toBeUndefined();
  expect(numbersOf(queues.take(1_100))).toEqual([1, 2]);
  for (const n of [3, 4, 5]) queues.enqueue(delivery(n, 'c', { readAtMs: 1_100 }));
  expect(numbersOf(queues.take(1_100))).toEqual([3, 4, 5]);
});

test('a batch is bounded in bytes too, and a text that is not at hand goes alone', () => {
  const queues = createOrderingQueues({ maxEvents: 100, maxWaitMs: 0 });
  const text = 'ü'.repeat(MAX_BATCH_BYTES / 8);
  for (let n = 1; n <= 5; n++) queues.enqueue(delivery(n, `r${n}`, { payload: text }));
  queues.enqueue(delivery(6, 'r6', { payload: undefined }));
  queues.enqueue(delivery(7, 'r7', { payload: '{}' }));
  expect([1, 2, 3, 4].map(() => numbersOf(queues.take(0)))).toEqual([[1, 2, 3, 4], [5], [6], [7]]);
});

test('a retry of a record keeps its later events out of a batch', () => {
  const queues = createOrderingQueues({ maxEvents: 10, maxWaitMs: 0 });
  for (const [n, queue] of ['a', 'b'].entries()) queues.enqueue(delivery(n + 2, queue));
  queues.addRetry(delivery(1, 'a', { nextAttemptAtMs: 50 }));
  queues.enqueue(delivery(4, 'a'));
  expect(numbersOf(queues.take(0))).toEqual([3]);
  expect(queues.take(0)).toBeUndefined();
  const retry = take(queues, 60);
  expect(numbersOf(retry)).toEqual([1]);
  queues.complete(retry);
  expect(numbersOf(queues.take(60))).toEqual([2, 4]);
});

test('halves share no record, and of a single record only the first half goes', () => {
  const queues = ['a', 'b', 'a', 'c', 'b'];
  const [first, ...others] = queues.map((queue, n) => delivery(n + 1, queue));
  if (first === undefined) throw new Error('there are some');
  expect(halve(createDeliveryBatch(first, ...others))?.map(numbersOf)).toEqual([[1, 2, 3, 5], [4]]);
  expect(
    halve(createDeliveryBatch(delivery(1, 'a'), delivery(2, 'a'), delivery(3, 'a')))?.map(numbersOf),
  ).toEqual([[1]]);
  expect(halve(createDeliveryBatch(first))).toBeUndefined();
});

test('in strict order a failing event holds back all records, but not what happened to the account', () => {
  const queues = createOrderingQueues(undefined, 'strict');
  for (const n of [1, 2, 3]) queues.enqueue(delivery(n, `record ${n}`));
  const first = take(queues);
  expect(queues.take(0)).toBeUndefined();
  first.deliveries[0].nextAttemptAtMs = 100;
  queues.scheduleRetry(first.deliveries[0]);
  expect(queues.overflow(10, 1)).toEqual({ retries: [], passed: [] });
  expect(queues.take(50)).toBeUndefined();
  const told = delivery(0, 'webhook/whk_1', { position: FEED_LIMIT, nextAttemptAtMs: 20 });
  queues.addRetry(told);
  expect(take(queues, 50).deliveries[0]).toBe(told);
  const again = take(queues, 100);
  expect(numbersOf(again)).toEqual([1]);
  queues.complete(again);
  expect(numbersOf(queues.take(100))).toEqual([2]);
});

const BATCHES = [undefined, { maxEvents: 4, maxWaitMs: 0 }, { maxEvents: 3, maxWaitMs: 200 }];
const ORDERS = ['record', 'strict'] as const;
const modes = BATCHES.flatMap((batching) => ORDERS.map((order) => ({ batching, order })));

test.each(modes)(
  'whatever fails or is asked for again, and whenever: each is delivered in order, and none stays scheduled %o',
  ({ batching, order }) => {
    const events = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 30 });
    fc.assert(
      fc.property(events, fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 60 }), (records, dice) => {
        const queues = createOrderingQueues(batching, order);
        for (const [n, record] of records.entries()) queues.enqueue(delivery(n + 1, record));
        const delivered = new Map<string, number[]>();
        const inTurn: number[] = [];
        const underWay: DeliveryBatch[] = [];
        /** As the control store has the retries: of each event, who asked for it last. */
        const scheduled = new Map<number, string>();
        const schedule = (item: Delivery) => {
          if (!scheduled.has(numberOf(item))) scheduled.set(numberOf(item), item.askedXid);
        };
        const askAgain = (n: number) => {
          scheduled.set(n, `${nowMs}`);
          queues.addRetry(
            delivery(n, records[n - 1] ?? '', { nextAttemptAtMs: nowMs, askedXid: `${nowMs}` }),
          );
        };
        let nowMs = 0;
        for (let step = 0; step < 5_000; step++) {
          const roll = step < 1_000 ? (dice[step % dice.length] ?? 0) : 0;
          nowMs += 60;
          const taken = queues.take(nowMs);
          if (taken !== undefined) underWay.push(taken);
          const queueOf = ({ record }: Delivery) => (order === 'strict' ? 'all' : record);
          const busy = underWay.flatMap(({ deliveries }) => [...new Set(deliveries.map(queueOf))]);
          expect(busy).toHaveLength(new Set(busy).size);
          if (roll === 9) for (const item of queues.overflow(2, 50).retries) schedule(item);
          if (roll === 6) for (const n of scheduled.keys()) askAgain(n);
          const batch = underWay.splice(roll % Math.max(1, underWay.length), 1)[0];
          if (batch === undefined) {
            if (taken === undefined && queues.retryCount === 0 && queues.readyCount === 0) break;
          } else if (roll === 7) {
            const halves = halve(batch, order);
            for (const half of halves ?? []) queues.giveBack(half);
            if (halves !== undefined) continue;
            const [failed] = batch.deliveries;
            failed.nextAttemptAtMs = nowMs + 100;
            schedule(failed);
            queues.scheduleRetry(failed);
          } else if (roll === 8) {
            queues.giveBack(batch);
          } else {
            for (const item of batch.deliveries) {
              const n = numberOf(item);
              if (item.askedAgain === undefined && scheduled.get(n) === item.askedXid) scheduled.delete(n);
              // Asked for again while it was under way it comes twice, and still before all later ones.
              if (inTurn.at(-1) !== n) inTurn.push(n);
              const ofRecord = delivered.get(item.record) ?? [];
              if (ofRecord.at(-1) !== n) ofRecord.push(n);
              delivered.set(item.record, ofRecord);
            }
            queues.complete(batch);
          }
        }
        for (const record of new Set(records)) {
          const expected = records.flatMap((each, n) => (each === record ? [n + 1] : []));
          expect(delivered.get(record)).toEqual(expected);
        }
        if (order === 'strict') expect(inTurn).toEqual(records.map((_, n) => n + 1));
        expect([...scheduled.keys()]).toEqual([]);
      }),
    );
  },
);

test('ten thousand that wait for minutes are looked through once a second, a few as often as one of them is due', () => {
  const nextLookMs = (count: number) => {
    const queues = createOrderingQueues();
    for (let n = 1; n <= count; n++) queues.addRetry(delivery(n, `${n}`, { nextAttemptAtMs: n * 60 }));
    expect(queues.hasReady(60)).toBe(true);
    return queues.nextDueAtMs(60) - 60;
  };
  expect(nextLookMs(10)).toBe(60);
  expect(nextLookMs(10_000)).toBeGreaterThan(900);
});
