import { comparePositions, FEED_LIMIT, type Position } from '../../../shared/domain/position.ts';
import type { Batching, DeliveryOrder } from '../endpoints/endpoint.ts';
import type { Delivery } from '../store/progress.ts';
import { createDeliveryBatch, type DeliveryBatch } from './delivery-batch.ts';
import type { Lane } from './fresh-lanes.ts';
import { createGathering, createTurns } from './fresh-lanes.ts';
import { orderingKey } from './ordering-key.ts';
import { createRecordsBehind } from './records-behind.ts';

/**
 * Parked deliveries whose time has come are looked for at most this often, and the more of them wait the more rarely: ten thousand
 * of an endpoint, whose times are minutes away, once a second.
 */
const DUE_SCAN_INTERVAL_MS = 50;
const WAITING_PER_SCAN_MS = 10;

/** What was queued and waits behind parked ones, and is queued no more. */
export interface Spilled {
  readonly parked: readonly Delivery[];
  /** Left to the log, because enough of their record is parked. */
  readonly passed: readonly Delivery[];
}

/**
 * The deliveries of one endpoint, in a lane per record: of a lane only the first may start, and only when none of it
 * is under way. A lane whose first is parked waits for that one's time, while all other lanes go on. Parked deliveries
 * go one by one; new ones too, or in batches, which may hold several of a lane.
 */
export interface Lanes {
  /** Adds a new event behind all others of its record. */
  enqueue(delivery: Delivery): void;
  /** Adds an event that was parked before, at its place. Of one that waits here already, the time is set anew; one under way goes once more after it. */
  addParked(delivery: Delivery): void;
  /** Whether `take` may find something. */
  hasReady(nowMs: number): boolean;
  /** The next batch that may go; its lanes are busy from then on. Retries, new events and what was given back take turns. */
  take(nowMs: number): DeliveryBatch | undefined;
  /** The batch that was taken is over: its lanes go on. */
  complete(batch: DeliveryBatch): void;
  /** The delivery, taken alone, has failed and waits for `nextAttemptAtMs`, and its lane with it. */
  park(delivery: Delivery): void;
  /** The batch that was taken is to be tried again as it is, behind all others that may go; its lanes stay busy. */
  giveBack(batch: DeliveryBatch): void;
  /**
   * Turns queued deliveries that wait behind a parked one into parked ones, at most `limit`. A record that has
   * `limitOfRecord` of them is behind from then on: what more of it is queued is dropped.
   */
  spill(limit: number, limitOfRecord: number): Spilled;
  /** Whether the record is behind, so that this event, which was not enqueued, is left to the log. */
  pass(record: string, position: Position): boolean;
  /** The last parked of a record that is behind, when it is its turn: first the events after it have to be read. */
  readonly nextBehind: Delivery | undefined;
  /** Parks what follows `last` in the log; see `RecordsBehind`. */
  catchUp(last: Delivery, following: readonly Delivery[], upTo: Position | undefined): Delivery[];
  /** Lanes and batches that could start now. */
  readonly readyCount: number;
  readonly parkedCount: number;
  /** Text of the deliveries that are not parked, in characters. */
  readonly queuedCharacters: number;
  /** When the next delivery may start that waits for a time, in epoch milliseconds; Infinity when none does. */
  nextDueAtMs(nowMs: number): number;
}

/** The one lane of an endpoint that gets the whole feed in order. No record's lane is called so. */
const STRICT_LANE = '';

/** Without `batching` each event is a request. In strict order all events of the feed are in one lane. */
export function createLanes(batching?: Batching, order: DeliveryOrder = 'record'): Lanes {
  const lanes = new Map<string, Lane>();
  /** Lanes whose first is a queued one, lanes whose first is parked and due, and batches that were given back. */
  const fresh = batching === undefined ? createTurns() : createGathering(batching);
  const due: Lane[] = [];
  const returned: DeliveryBatch[] = [];
  /** Lanes whose first is parked and not due. */
  const waiting = new Set<Lane>();
  /** Lanes whose first may go only when what follows it was read from the log. */
  const unread = new Set<Lane>();
  const behind = createRecordsBehind();
  let scanAtMs = 0;
  let parkedCount = 0;
  let queuedCharacters = 0;
  let turn = 0;

  /** What happened to the account is told beside the feed, and has no place in its order. */
  const keyOf = ({ lane, position }: Delivery): string =>
    order === 'strict' && comparePositions(position, FEED_LIMIT) < 0 ? STRICT_LANE : orderingKey(lane);

  const laneOf = (delivery: Delivery): Lane => {
    const key = keyOf(delivery);
    const known = lanes.get(key);
    if (known !== undefined) return known;
    const lane: Lane = { key, parked: [], queued: [], isBusy: false, isReady: false };
    lanes.set(key, lane);
    return lane;
  };

  /** Puts a lane where its first delivery belongs. */
  const place = (lane: Lane) => {
    if (lane.isBusy || lane.isReady) return;
    const [head] = lane.parked;
    unread.delete(lane);
    if (head?.hasMore === true) {
      unread.add(lane);
      return;
    }
    if (head === undefined && lane.queued.length === 0) {
      lanes.delete(lane.key);
      return;
    }
    if (head !== undefined && head.nextAttemptAtMs > 0) {
      waiting.add(lane);
      scanAtMs = Math.min(scanAtMs, head.nextAttemptAtMs);
      return;
    }
    lane.isReady = true;
    if (head === undefined) fresh.add(lane);
    else due.push(lane);
  };

  const scanWaiting = (nowMs: number) => {
    if (nowMs < scanAtMs) return;
    let next = Number.POSITIVE_INFINITY;
    for (const lane of waiting) {
      const at = lane.parked[0]?.nextAttemptAtMs ?? 0;
      if (at > nowMs) {
        next = Math.min(next, at);
        continue;
      }
      waiting.delete(lane);
      lane.isReady = true;
      due.push(lane);
    }
    scanAtMs = Math.max(next, nowMs + DUE_SCAN_INTERVAL_MS, nowMs + waiting.size / WAITING_PER_SCAN_MS);
  };

  const takeDue = (): DeliveryBatch | undefined => {
    const delivery = due.shift()?.parked[0];
    return delivery === undefined ? undefined : createDeliveryBatch(delivery);
  };

  const takeFresh = (nowMs: number): DeliveryBatch | undefined => {
    const [first, ...others] = fresh.take(nowMs);
    return first === undefined ? undefined : createDeliveryBatch(first, ...others);
  };

  /** At its place among those from `from` on. */
  const insertParked = (lane: Lane, delivery: Delivery, from: number) => {
    const after = lane.parked.findIndex(
      (other, index) => index >= from && comparePositions(other.position, delivery.position) > 0,
    );
    lane.parked.splice(after === -1 ? lane.parked.length : after, 0, delivery);
    parkedCount += 1;
    if (delivery.hasMore === true) behind.add(delivery);
  };

  const readyCount = () => fresh.count + due.length + returned.length;

  const takers = [takeDue, takeFresh, () => returned.shift()];

  const release = (delivery: Delivery): Lane => {
    const lane = laneOf(delivery);
    lane.isBusy = false;
    if (lane.parked[0] === delivery) {
      lane.parked.shift();
      parkedCount -= 1;
    } else if (lane.queued[0] === delivery) {
      lane.queued.shift();
      queuedCharacters -= delivery.inlineCharacters;
    }
    return lane;
  };

  return {
    enqueue(delivery) {
      const lane = laneOf(delivery);
      lane.queued.push(delivery);
      queuedCharacters += delivery.inlineCharacters;
      if (lane.isReady && lane.parked.length === 0) fresh.grow(delivery);
      place(lane);
    },
    addParked(delivery) {
      const lane = laneOf(delivery);
      const isSame = (other: Delivery) => comparePositions(other.position, delivery.position) === 0;
      const known = lane.parked.find(isSame) ?? lane.queued.find(isSame);
      if (known !== undefined) {
        const isAskedAgain = delivery.nextAttemptAtMs !== known.nextAttemptAtMs;
        if (lane.isBusy && known === lane.parked[0] && isAskedAgain) known.askedAgain = delivery;
        if (!waiting.has(lane) || known !== lane.parked[0]) return;
        known.nextAttemptAtMs = delivery.nextAttemptAtMs;
        known.attemptCount = delivery.attemptCount;
        waiting.delete(lane);
        place(lane);
        return;
      }
      if (lane.isReady && lane.parked.length === 0) {
        fresh.remove(lane);
        lane.isReady = false;
      }
      // Under way now is the first; nothing may come before it.
      const from = lane.isBusy && lane.parked.length > 0 ? 1 : 0;
      insertParked(lane, delivery, from);
      waiting.delete(lane);
      place(lane);
    },
    hasReady(nowMs) {
      scanWaiting(nowMs);
      return readyCount() > 0;
    },
    take(nowMs) {
      scanWaiting(nowMs);
      for (let tried = 0; tried < takers.length; tried++) {
        const batch = takers[turn]?.(nowMs);
        turn = (turn + 1) % takers.length;
        if (batch === undefined) continue;
        for (const delivery of batch.deliveries) {
          const lane = laneOf(delivery);
          lane.isBusy = true;
          lane.isReady = false;
        }
        return batch;
      }
      return undefined;
    },
    complete({ deliveries }) {
      for (const delivery of deliveries) {
        const lane = release(delivery);
        if (delivery.askedAgain !== undefined) insertParked(lane, delivery.askedAgain, 0);
      }
      for (const delivery of deliveries) {
        const lane = lanes.get(keyOf(delivery));
        if (lane !== undefined) place(lane);
      }
    },
    park(delivery) {
      const lane = release(delivery);
      delete delivery.askedAgain;
      insertParked(lane, delivery, 0);
      place(lane);
    },
    giveBack(batch) {
      returned.push(batch);
      // All others that may go are first, so that one at fault is not asked about again and again.
      turn = 0;
    },
    spill(limit, limitOfRecord) {
      // Of the whole feed all would be parked: it waits in the log, behind the cursor.
      if (order === 'strict') return { parked: [], passed: [] };
      const parked: Delivery[] = [];
      const passed: Delivery[] = [];
      for (const lane of waiting) {
        if (parked.length >= limit) break;
        if (lane.queued.length === 0) continue;
        // At least one of the queue: what was asked for again has later events that were delivered long ago.
        const room = Math.max(1, limitOfRecord - lane.parked.length);
        const moved = lane.queued.splice(0, Math.min(room, limit - parked.length));
        lane.parked.push(...moved);
        parked.push(...moved);
        const last = moved.at(-1);
        if (last === undefined || moved.length < room) continue;
        // What is left to the log is read again by its one key.
        if (![...lane.parked, ...lane.queued].every((each) => each.lane === last.lane)) continue;
        behind.add(last);
        for (const delivery of lane.queued) behind.pass(last.lane, delivery.position);
        passed.push(...lane.queued.splice(0));
      }
      parkedCount += parked.length;
      for (const { inlineCharacters } of [...parked, ...passed]) queuedCharacters -= inlineCharacters;
      return { parked, passed };
    },
    pass(record, position) {
      if (!behind.has(record)) return false;
      behind.pass(record, position);
      return true;
    },
    get nextBehind() {
      const [lane] = unread;
      return lane?.parked[0];
    },
    catchUp(last, following, upTo) {
      const lane = laneOf(last);
      const parked = following.map((delivery) => {
        const isSame = (other: Delivery) => comparePositions(other.position, delivery.position) === 0;
        const known = lane.parked.find(isSame);
        if (known === undefined) insertParked(lane, delivery, 0);
        return known ?? delivery;
      });
      const changed = behind.catchUp(last, parked, upTo);
      // In turn, when more than one is to be read.
      unread.delete(lane);
      place(lane);
      return changed;
    },
    get readyCount() {
      return readyCount();
    },
    get parkedCount() {
      return parkedCount;
    },
    get queuedCharacters() {
      return queuedCharacters;
    },
    nextDueAtMs: (nowMs) =>
      Math.min(fresh.nextAtMs(nowMs), waiting.size > 0 ? scanAtMs : Number.POSITIVE_INFINITY),
  };
}
