import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FEED_LIMIT } from '../../../shared/domain/position.ts';
import type { Delivery } from '../store/progress.ts';
import { createDeliveryBatch, type DeliveryBatch, halve } from './delivery-batch.ts';
import { MAX_BATCH_BYTES } from './fresh-lanes.ts';
import { createLanes, type Lanes } from './lanes.ts';

const delivery = (n: number, lane: string, part: Partial<Delivery> = {}): Delivery => ({
  position: { commitLsn: BigInt(n), index: 0 },
  committedAt: '2026-01-01T00:00:00.000000Z',
  type: 'invoice.updated',
  resource: 'invoices',
  lane,
  payload: '{}',
  attemptCount: 0,
  readAtMs: 0,
  inlineCharacters: 2,
  pending: undefined,
  nextAttemptAtMs: 0,
  ...part,
});
const numberOf = ({ position }: Delivery) => Number(position.commitLsn);
const numbersOf = (batch: DeliveryBatch | undefined) => batch?.deliveries.map(numberOf);
const take = (lanes: Lanes, nowMs = 0): DeliveryBatch => {
  const batch = lanes.take(nowMs);
  if (batch === undefined) throw new Error('nothing may start');
  return batch;
};

test('of one record only one is under way, in order', () => {
  const lanes = createLanes();
  for (const [n, lane] of [
    [1, 'a'],
    [2, 'a'],
    [3, 'b'],
  ] as const)
    lanes.enqueue(delivery(n, lane));
  const one = take(lanes);
  expect(numbersOf(one)).toEqual([1]);
  expect(numbersOf(lanes.take(0))).toEqual([3]);
  expect(lanes.take(0)).toBeUndefined();
  lanes.complete(one);
  expect(numbersOf(lanes.take(0))).toEqual([2]);
});

test('records whose keys may be equal to the database keep their order among each other', () => {
  const lanes = createLanes();
  lanes.enqueue(delivery(1, 'people/["Ann"]'));
  lanes.enqueue(delivery(2, 'people/["ANN"]'));
  lanes.enqueue(delivery(3, 'people/["Bob"]'));
  const one = take(lanes);
  expect(numbersOf(one)).toEqual([1]);
  expect(numbersOf(lanes.take(0))).toEqual([3]);
  expect(lanes.take(0)).toBeUndefined();
  const [gone] = one.deliveries;
  gone.nextAttemptAtMs = 5_000;
  lanes.park(gone);
  // None of the two is left to the log, where only one of them would be looked for.
  expect(lanes.take(100)).toBeUndefined();
  lanes.enqueue(delivery(4, 'people/["Ann"]'));
  const { parked, passed } = lanes.spill(10, 1);
  expect([parked.map(numberOf), passed]).toEqual([[2], []]);
  expect(numbersOf(lanes.take(6_000))).toEqual([1]);
});

test('a batch that failed is halved with records whose keys may be equal in one half', () => {
  const deliveries = [
    delivery(1, 'people/["Ann"]'),
    delivery(2, 'people/["Bob"]'),
    delivery(3, 'people/["ANN"]'),
  ] as const;
  expect(halve(createDeliveryBatch(...deliveries))?.map(numbersOf)).toEqual([[1, 3], [2]]);
});

test('a parked delivery holds back its own record only, until its time has come', () => {
  const lanes = createLanes();
  for (const [n, lane] of [
    [1, 'a'],
    [2, 'a'],
    [3, 'b'],
  ] as const)
    lanes.enqueue(delivery(n, lane));
  const [one] = take(lanes).deliveries;
  one.nextAttemptAtMs = 5_000;
  lanes.park(one);
  expect(lanes.nextDueAtMs(0)).toBeLessThanOrEqual(5_000);
  expect(numbersOf(lanes.take(100))).toEqual([3]);
  expect(lanes.take(4_999)).toBeUndefined();
  const again = take(lanes, 5_000);
  expect(again.deliveries).toEqual([one]);
  lanes.complete(again);
  expect(lanes.parkedCount).toBe(0);
  expect(numbersOf(lanes.take(5_000))).toEqual([2]);
});

test('what is spilled behind a parked one follows it at once when that is done', () => {
  const lanes = createLanes();
  lanes.addParked(delivery(1, 'a', { nextAttemptAtMs: 1_000 }));
  for (const n of [2, 3, 4]) lanes.enqueue(delivery(n, 'a'));
  lanes.enqueue(delivery(5, 'b'));
  expect(lanes.spill(2, 50).parked.map(numberOf)).toEqual([2, 3]);
  expect(lanes.parkedCount).toBe(3);
  const order: number[] = [];
  for (let batch = lanes.take(1_000); batch !== undefined; batch = lanes.take(1_000)) {
    order.push(...batch.deliveries.map(numberOf));
    lanes.complete(batch);
  }
  expect(order.filter((n) => n !== 5)).toEqual([1, 2, 3, 4]);
});

test('a delivery given back lets other records go first', () => {
  const lanes = createLanes();
  for (const [n, lane] of [
    [1, 'a'],
    [2, 'b'],
  ] as const)
    lanes.enqueue(delivery(n, lane));
  const one = take(lanes);
  lanes.giveBack(one);
  expect(numbersOf(lanes.take(0))).toEqual([2]);
  expect(lanes.take(0)).toBe(one);
});

test('an event asked for again comes before the later ones of its record, and never twice', () => {
  const lanes = createLanes();
  lanes.addParked(delivery(5, 'a', { nextAttemptAtMs: 9_000 }));
  lanes.addParked(delivery(3, 'a'));
  lanes.addParked(delivery(3, 'a'));
  expect(lanes.parkedCount).toBe(2);
  const three = take(lanes);
  expect(numbersOf(three)).toEqual([3]);
  lanes.complete(three);
  expect(lanes.take(0)).toBeUndefined();
});

test('a parked event asked for again need not wait for its time', () => {
  const lanes = createLanes();
  lanes.addParked(delivery(5, 'a', { nextAttemptAtMs: 9_000, attemptCount: 3 }));
  expect(lanes.take(100)).toBeUndefined();
  lanes.addParked(delivery(5, 'a', { nextAttemptAtMs: 100 }));
  expect(take(lanes, 200).deliveries[0]).toMatchObject({ attemptCount: 0 });
  expect(lanes.parkedCount).toBe(1);
});

test('an event asked for again while it is under way goes once more', () => {
  const lanes = createLanes();
  lanes.addParked(delivery(1, 'a', { nextAttemptAtMs: 50, attemptCount: 2 }));
  lanes.enqueue(delivery(2, 'a'));
  const under = take(lanes, 60);
  // As it was read while nobody had asked.
  lanes.addParked(delivery(1, 'a', { nextAttemptAtMs: 50, attemptCount: 2 }));
  expect(under.deliveries[0].askedAgain).toBeUndefined();
  lanes.addParked(delivery(1, 'a', { nextAttemptAtMs: 55 }));
  lanes.complete(under);
  const again = take(lanes, 60);
  expect(again.deliveries[0]).toMatchObject({ position: { commitLsn: 1n }, attemptCount: 0 });
  lanes.complete(again);
  expect(numbersOf(lanes.take(60))).toEqual([2]);
  expect(lanes.parkedCount).toBe(0);
});

test('a batch holds what may go in the order of positions, a record whole or in its first part', () => {
  const lanes = createLanes({ maxEvents: 4, maxWaitMs: 100 });
  for (const [n, lane] of ['a', 'b', 'a', 'a', 'c', 'b'].entries()) lanes.enqueue(delivery(n + 1, lane));
  const batch = take(lanes);
  expect(numbersOf(batch)).toEqual([1, 2, 3, 4]);
  // The rest of b is behind what is under way, and c alone is waited with.
  expect(lanes.take(0)).toBeUndefined();
  expect(lanes.nextDueAtMs(0)).toBe(100);
  expect(numbersOf(lanes.take(100))).toEqual([5]);
  lanes.complete(batch);
  expect(numbersOf(lanes.take(100))).toEqual([6]);
});

test('a batch that is not full waits, a full one and one that has waited do not', () => {
  const lanes = createLanes({ maxEvents: 3, maxWaitMs: 100 });
  lanes.enqueue(delivery(1, 'a', { readAtMs: 1_000 }));
  lanes.enqueue(delivery(2, 'b', { readAtMs: 1_050 }));
  expect(lanes.take(1_099)).toBeUndefined();
  expect(numbersOf(lanes.take(1_100))).toEqual([1, 2]);
  for (const n of [3, 4, 5]) lanes.enqueue(delivery(n, 'c', { readAtMs: 1_100 }));
  expect(numbersOf(lanes.take(1_100))).toEqual([3, 4, 5]);
});

test('a batch is bounded in bytes too, and a text that is not at hand goes alone', () => {
  const lanes = createLanes({ maxEvents: 100, maxWaitMs: 0 });
  const text = 'ü'.repeat(MAX_BATCH_BYTES / 8);
  for (let n = 1; n <= 5; n++) lanes.enqueue(delivery(n, `r${n}`, { payload: text }));
  lanes.enqueue(delivery(6, 'r6', { payload: undefined }));
  lanes.enqueue(delivery(7, 'r7', { payload: '{}' }));
  expect([1, 2, 3, 4].map(() => numbersOf(lanes.take(0)))).toEqual([[1, 2, 3, 4], [5], [6], [7]]);
});

test('what is parked in a record keeps its later events out of a batch', () => {
  const lanes = createLanes({ maxEvents: 10, maxWaitMs: 0 });
  for (const [n, lane] of ['a', 'b'].entries()) lanes.enqueue(delivery(n + 2, lane));
  lanes.addParked(delivery(1, 'a', { nextAttemptAtMs: 50 }));
  lanes.enqueue(delivery(4, 'a'));
  expect(numbersOf(lanes.take(0))).toEqual([3]);
  expect(lanes.take(0)).toBeUndefined();
  const parked = take(lanes, 60);
  expect(numbersOf(parked)).toEqual([1]);
  lanes.complete(parked);
  expect(numbersOf(lanes.take(60))).toEqual([2, 4]);
});

test('halves share no record, and of a single record only the first half goes', () => {
  const lanes = ['a', 'b', 'a', 'c', 'b'];
  const [first, ...others] = lanes.map((lane, n) => delivery(n + 1, lane));
  if (first === undefined) throw new Error('there are some');
  expect(halve(createDeliveryBatch(first, ...others))?.map(numbersOf)).toEqual([[1, 2, 3, 5], [4]]);
  expect(
    halve(createDeliveryBatch(delivery(1, 'a'), delivery(2, 'a'), delivery(3, 'a')))?.map(numbersOf),
  ).toEqual([[1]]);
  expect(halve(createDeliveryBatch(first))).toBeUndefined();
});

test('in strict order a failing event holds back all records, but not what happened to the account', () => {
  const lanes = createLanes(undefined, 'strict');
  for (const n of [1, 2, 3]) lanes.enqueue(delivery(n, `record ${n}`));
  const first = take(lanes);
  expect(lanes.take(0)).toBeUndefined();
  first.deliveries[0].nextAttemptAtMs = 100;
  lanes.park(first.deliveries[0]);
  expect(lanes.spill(10, 1)).toEqual({ parked: [], passed: [] });
  expect(lanes.take(50)).toBeUndefined();
  const told = delivery(0, 'webhook/whk_1', { position: FEED_LIMIT, nextAttemptAtMs: 20 });
  lanes.addParked(told);
  expect(take(lanes, 50).deliveries[0]).toBe(told);
  const again = take(lanes, 100);
  expect(numbersOf(again)).toEqual([1]);
  lanes.complete(again);
  expect(numbersOf(lanes.take(100))).toEqual([2]);
});

const BATCHES = [undefined, { maxEvents: 4, maxWaitMs: 0 }, { maxEvents: 3, maxWaitMs: 200 }];
const ORDERS = ['record', 'strict'] as const;
const modes = BATCHES.flatMap((batching) => ORDERS.map((order) => ({ batching, order })));

test.each(modes)(
  'whatever fails and whenever: each is delivered once, and in order %o',
  ({ batching, order }) => {
    const events = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 30 });
    fc.assert(
      fc.property(events, fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 60 }), (records, dice) => {
        const lanes = createLanes(batching, order);
        for (const [n, lane] of records.entries()) lanes.enqueue(delivery(n + 1, lane));
        const delivered = new Map<string, number[]>();
        const inTurn: number[] = [];
        const underWay: DeliveryBatch[] = [];
        let nowMs = 0;
        for (let step = 0; step < 5_000; step++) {
          const roll = step < 1_000 ? (dice[step % dice.length] ?? 0) : 0;
          nowMs += 60;
          const taken = lanes.take(nowMs);
          if (taken !== undefined) underWay.push(taken);
          const laneOf = ({ lane }: Delivery) => (order === 'strict' ? 'all' : lane);
          const busy = underWay.flatMap(({ deliveries }) => [...new Set(deliveries.map(laneOf))]);
          expect(busy).toHaveLength(new Set(busy).size);
          if (roll === 9) lanes.spill(2, 50);
          const batch = underWay.splice(roll % Math.max(1, underWay.length), 1)[0];
          if (batch === undefined) {
            if (taken === undefined && lanes.parkedCount === 0 && lanes.readyCount === 0) break;
          } else if (roll === 7) {
            const halves = halve(batch, order);
            for (const half of halves ?? []) lanes.giveBack(half);
            if (halves !== undefined) continue;
            batch.deliveries[0].nextAttemptAtMs = nowMs + 100;
            lanes.park(batch.deliveries[0]);
          } else if (roll === 8) {
            lanes.giveBack(batch);
          } else {
            for (const item of batch.deliveries) {
              inTurn.push(numberOf(item));
              delivered.set(item.lane, [...(delivered.get(item.lane) ?? []), numberOf(item)]);
            }
            lanes.complete(batch);
          }
        }
        for (const lane of new Set(records)) {
          const expected = records.flatMap((record, n) => (record === lane ? [n + 1] : []));
          expect(delivered.get(lane)).toEqual(expected);
        }
        if (order === 'strict') expect(inTurn).toEqual(records.map((_, n) => n + 1));
      }),
    );
  },
);

test('ten thousand that wait for minutes are looked through once a second, a few as often as one of them is due', () => {
  const nextLookMs = (count: number) => {
    const lanes = createLanes();
    for (let n = 1; n <= count; n++) lanes.addParked(delivery(n, `${n}`, { nextAttemptAtMs: n * 60 }));
    expect(lanes.hasReady(60)).toBe(true);
    return lanes.nextDueAtMs(60) - 60;
  };
  expect(nextLookMs(10)).toBe(60);
  expect(nextLookMs(10_000)).toBeGreaterThan(900);
});
