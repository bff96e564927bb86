import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Delivery } from './delivery.ts';
import { createLanes } from './lanes.ts';

const delivery = (n: number, lane: string, part: Partial<Delivery> = {}): Delivery => ({
  position: { commitLsn: BigInt(n), index: 0 },
  committedAt: '2026-01-01T00:00:00.000000Z',
  type: 'invoice.updated',
  resource: 'invoices',
  lane,
  payload: undefined,
  attemptCount: 0,
  returnCount: 0,
  pending: undefined,
  nextAttemptAtMs: 0,
  ...part,
});
const numberOf = (item: Delivery | undefined) =>
  item === undefined ? undefined : Number(item.position.commitLsn);

test('of one record only one is under way, in order', () => {
  const lanes = createLanes();
  for (const [n, lane] of [
    [1, 'a'],
    [2, 'a'],
    [3, 'b'],
  ] as const)
    lanes.enqueue(delivery(n, lane));
  const one = lanes.take(0);
  expect(numberOf(one)).toBe(1);
  expect(numberOf(lanes.take(0))).toBe(3);
  expect(lanes.take(0)).toBeUndefined();
  if (one !== undefined) lanes.complete(one);
  expect(numberOf(lanes.take(0))).toBe(2);
});

test('a parked delivery holds back its own record only, until its time has come', () => {
  const lanes = createLanes();
  for (const [n, lane] of [
    [1, 'a'],
    [2, 'a'],
    [3, 'b'],
  ] as const)
    lanes.enqueue(delivery(n, lane));
  const one = lanes.take(0);
  if (one === undefined) throw new Error('the first can start');
  one.nextAttemptAtMs = 5_000;
  lanes.park(one);
  expect(lanes.nextDueAtMs()).toBeLessThanOrEqual(5_000);
  expect(numberOf(lanes.take(100))).toBe(3);
  expect(lanes.take(4_999)).toBeUndefined();
  expect(lanes.take(5_000)).toBe(one);
  lanes.complete(one);
  expect(lanes.parkedCount).toBe(0);
  expect(numberOf(lanes.take(5_000))).toBe(2);
});

test('what is spilled behind a parked one follows it at once when that is done', () => {
  const lanes = createLanes();
  lanes.addParked(delivery(1, 'a', { nextAttemptAtMs: 1_000 }));
  for (const n of [2, 3, 4]) lanes.enqueue(delivery(n, 'a'));
  lanes.enqueue(delivery(5, 'b'));
  expect(lanes.spill(2).map(numberOf)).toEqual([2, 3]);
  expect(lanes.parkedCount).toBe(3);
  const order: (number | undefined)[] = [];
  for (let item = lanes.take(1_000); item !== undefined; item = lanes.take(1_000)) {
    order.push(numberOf(item));
    lanes.complete(item);
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
  const one = lanes.take(0);
  if (one !== undefined) lanes.giveBack(one);
  expect(numberOf(lanes.take(0))).toBe(2);
  expect(lanes.take(0)).toBe(one);
});

test('an event asked for again comes before the later ones of its record, and never twice', () => {
  const lanes = createLanes();
  lanes.addParked(delivery(5, 'a', { nextAttemptAtMs: 9_000 }));
  lanes.addParked(delivery(3, 'a'));
  lanes.addParked(delivery(3, 'a'));
  expect(lanes.parkedCount).toBe(2);
  const three = lanes.take(0);
  expect(numberOf(three)).toBe(3);
  if (three !== undefined) lanes.complete(three);
  expect(lanes.take(0)).toBeUndefined();
});

test('a parked event asked for again need not wait for its time', () => {
  const lanes = createLanes();
  lanes.addParked(delivery(5, 'a', { nextAttemptAtMs: 9_000, attemptCount: 3 }));
  expect(lanes.take(100)).toBeUndefined();
  lanes.addParked(delivery(5, 'a', { nextAttemptAtMs: 100 }));
  expect(lanes.take(200)).toMatchObject({ attemptCount: 0 });
  expect(lanes.parkedCount).toBe(1);
});

test('whatever fails and whenever: each is delivered once, and each record’s in order', () => {
  const events = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 30 });
  fc.assert(
    fc.property(events, fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 60 }), (records, dice) => {
      const lanes = createLanes();
      for (const [n, lane] of records.entries()) lanes.enqueue(delivery(n + 1, lane));
      const delivered = new Map<string, number[]>();
      const underWay: Delivery[] = [];
      let nowMs = 0;
      for (let step = 0; step < 5_000; step++) {
        const roll = step < 1_000 ? (dice[step % dice.length] ?? 0) : 0;
        nowMs += 60;
        const taken = lanes.take(nowMs);
        if (taken !== undefined) underWay.push(taken);
        if (roll === 9) lanes.spill(2);
        const item = underWay.splice(roll % Math.max(1, underWay.length), 1)[0];
        if (item === undefined) {
          if (taken === undefined && lanes.parkedCount === 0 && lanes.readyCount === 0) break;
        } else if (roll === 7) {
          item.nextAttemptAtMs = nowMs + 100;
          lanes.park(item);
        } else if (roll === 8) {
          lanes.giveBack(item);
        } else {
          delivered.set(item.lane, [...(delivered.get(item.lane) ?? []), numberOf(item) ?? 0]);
          lanes.complete(item);
        }
      }
      for (const lane of new Set(records)) {
        const expected = records.flatMap((record, n) => (record === lane ? [n + 1] : []));
        expect(delivered.get(lane)).toEqual(expected);
      }
    }),
  );
});
