import { comparePositions } from '../../../shared/domain/position.ts';
import type { Delivery } from './delivery.ts';

/** Parked deliveries whose time has come are looked for at most this often, so that many of them cost little. */
const DUE_SCAN_INTERVAL_MS = 50;

interface Lane {
  readonly key: string;
  /** In the order of positions; all of them before what is queued. */
  parked: Delivery[];
  queued: Delivery[];
  isBusy: boolean;
  /** In one of the two queues of lanes that may start. */
  isReady: boolean;
}

/**
 * The deliveries of one endpoint, in a lane per record: of a lane only the first may start, and only when none of it
 * is under way. A lane whose first is parked waits for that one's time, while all other lanes go on.
 */
export interface Lanes {
  /** Adds a new event behind all others of its record. */
  enqueue(delivery: Delivery): void;
  /** Adds an event that was parked before, at its place. Of one that waits here already, the time is set anew. */
  addParked(delivery: Delivery): void;
  /** The next that may start, and makes its lane busy. Retries and new events take turns. */
  take(nowMs: number): Delivery | undefined;
  /** The delivery that was taken is over: its lane goes on. */
  complete(delivery: Delivery): void;
  /** The delivery that was taken has failed and waits for `nextAttemptAtMs`, and its lane with it. */
  park(delivery: Delivery): void;
  /** The delivery that was taken is to be tried again; its lane goes behind all others that may start. */
  giveBack(delivery: Delivery): void;
  /** Turns queued deliveries that wait behind a parked one into parked ones, at most `limit`, and returns them. */
  spill(limit: number): Delivery[];
  /** Queued deliveries that could start now. */
  readonly readyCount: number;
  readonly parkedCount: number;
  /** When the next parked delivery may start, in epoch milliseconds; Infinity when none waits for a time. */
  nextDueAtMs(): number;
}

export function createLanes(): Lanes {
  const lanes = new Map<string, Lane>();
  /** Lanes whose first is a queued one, and lanes whose first is parked and due. May hold stale entries. */
  const fresh: Lane[] = [];
  const due: Lane[] = [];
  /** Lanes whose first is parked and not due. */
  const waiting = new Set<Lane>();
  let scanAtMs = 0;
  let parkedCount = 0;
  let takeDueNext = true;

  const laneOf = (key: string): Lane => {
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
    (head === undefined ? fresh : due).push(lane);
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
    scanAtMs = Math.max(next, nowMs + DUE_SCAN_INTERVAL_MS);
  };

  const start = (lane: Lane): Delivery | undefined => {
    lane.isReady = false;
    const delivery = lane.parked[0] ?? lane.queued[0];
    lane.isBusy = delivery !== undefined;
    return delivery;
  };

  const release = (delivery: Delivery): Lane => {
    const lane = laneOf(delivery.lane);
    lane.isBusy = false;
    if (lane.parked[0] === delivery) {
      lane.parked.shift();
      parkedCount -= 1;
    } else if (lane.queued[0] === delivery) {
      lane.queued.shift();
    }
    return lane;
  };

  return {
    enqueue(delivery) {
      const lane = laneOf(delivery.lane);
      lane.queued.push(delivery);
      place(lane);
    },
    addParked(delivery) {
      const lane = laneOf(delivery.lane);
      const isSame = (other: Delivery) => comparePositions(other.position, delivery.position) === 0;
      const known = lane.parked.find(isSame) ?? lane.queued.find(isSame);
      if (known !== undefined) {
        if (!waiting.has(lane) || known !== lane.parked[0]) return;
        known.nextAttemptAtMs = delivery.nextAttemptAtMs;
        known.attemptCount = delivery.attemptCount;
        waiting.delete(lane);
        place(lane);
        return;
      }
      // Under way now is the first; nothing may come before it.
      const from = lane.isBusy && lane.parked.length > 0 ? 1 : 0;
      const after = lane.parked.findIndex(
        (other, index) => index >= from && comparePositions(other.position, delivery.position) > 0,
      );
      lane.parked.splice(after === -1 ? lane.parked.length : after, 0, delivery);
      parkedCount += 1;
      waiting.delete(lane);
      place(lane);
    },
    take(nowMs) {
      scanWaiting(nowMs);
      for (let turn = 0; turn < 2; turn++) {
        const queue = takeDueNext ? due : fresh;
        takeDueNext = !takeDueNext;
        const lane = queue.shift();
        const delivery = lane === undefined ? undefined : start(lane);
        if (delivery !== undefined) return delivery;
      }
      return undefined;
    },
    complete(delivery) {
      place(release(delivery));
    },
    park(delivery) {
      const lane = release(delivery);
      lane.parked.unshift(delivery);
      parkedCount += 1;
      place(lane);
    },
    giveBack(delivery) {
      const lane = laneOf(delivery.lane);
      lane.isBusy = false;
      place(lane);
    },
    spill(limit) {
      const spilled: Delivery[] = [];
      for (const lane of waiting) {
        const moved = lane.queued.splice(0, limit - spilled.length);
        lane.parked.push(...moved);
        spilled.push(...moved);
        if (spilled.length >= limit) break;
      }
      parkedCount += spilled.length;
      return spilled;
    },
    get readyCount() {
      return fresh.length + due.length;
    },
    get parkedCount() {
      return parkedCount;
    },
    nextDueAtMs: () => (waiting.size > 0 ? scanAtMs : Number.POSITIVE_INFINITY),
  };
}
