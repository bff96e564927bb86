import { comparePositions, FEED_LIMIT, type Position } from '../../../shared/domain/position.ts';
import type { Batching, DeliveryOrder } from '../endpoints/endpoint.ts';
import type { Delivery } from '../store/progress.ts';
import {
  createDeliveryBatch,
  createGathering,
  createTurns,
  type DeliveryBatch,
  type OrderingQueue,
} from './delivery-batch.ts';
import { orderingKey } from './ordering-key.ts';
import { createRecordsBehind } from './records-behind.ts';
import { createRetryReads, type RetryReads } from './retry-reads.ts';

/**
 * Retries whose time has come are looked for at most this often, and the more of them wait the more rarely: ten thousand
 * of an endpoint, whose times are minutes away, once a second.
 */
const DUE_SCAN_INTERVAL_MS = 50;
const WAITING_PER_SCAN_MS = 10;

/** What was queued behind retries, and is queued no more: it overflows to retry. */
export interface Overflow {
  readonly retries: readonly Delivery[];
  /** Left to the log, because enough of their record is scheduled for retry. */
  readonly passed: readonly Delivery[];
}

/**
 * The deliveries of one endpoint, in a queue per record: of a queue only the first may start, and only when none of it
 * is under way. A queue whose first is a retry waits for that one's time, while all other queues go on. Retries
 * go one by one; new ones too, or in batches, which may hold several of a queue.
 */
export interface OrderingQueues {
  /**
   * Adds a new event behind all others of its record. It overflows to retry at once while later events of another record
   * in its queue are left to the log: those are found by their positions among the retries, and would get ahead of what
   * is queued.
   *
   * @returns whether it is queued, and did not overflow to retry
   */
  enqueue(delivery: Delivery): boolean;
  /** Adds an event that was scheduled for retry before, at its place. Of one that waits here already, the time is set anew; one under way goes once more after it. */
  addRetry(delivery: Delivery): void;
  /** While retries are read, to be added here, what ends in the meantime is noted: a row from before is passed over. */
  readonly reads: Pick<RetryReads, 'begin' | 'finish'>;
  /** Whether `take` may find something. */
  hasReady(nowMs: number): boolean;
  /** The next batch that may go; its queues are busy from then on. Retries, new events and what was given back take turns. */
  take(nowMs: number): DeliveryBatch | undefined;
  /** Whether more of its queues waits for the batch to be over, as far as that is easily told. */
  isWaitedFor(batch: DeliveryBatch): boolean;
  /** The batch that was taken is over: its queues go on. */
  complete(batch: DeliveryBatch): void;
  /** The delivery, taken alone, has failed and waits for `nextAttemptAtMs`, and its queue with it. */
  scheduleRetry(delivery: Delivery): void;
  /** The batch that was taken is to be tried again as it is, behind all others that may go; its queues stay busy. */
  giveBack(batch: DeliveryBatch): void;
  /**
   * Turns queued deliveries that wait behind a retry into retries, at most `limit`. A record that has
   * `limitOfRecord` of them is behind from then on: what more of it is queued is dropped.
   */
  overflow(limit: number, limitOfRecord: number): Overflow;
  /** Whether the record is behind, so that this event, which was not enqueued, is left to the log. */
  pass(record: string, position: Position): boolean;
  /** The last retry of a record that is behind, when it is its turn: first the events after it have to be read. */
  readonly nextBehind: Delivery | undefined;
  /** Schedules what follows `last` in the log for retry; see `RecordsBehind`. */
  catchUp(last: Delivery, following: readonly Delivery[], upTo: Position | undefined): Delivery[];
  /** Queues and batches that could start now. */
  readonly readyCount: number;
  readonly retryCount: number;
  /** Text of the deliveries that are no retries, in characters. */
  readonly queuedCharacters: number;
  /** When the next delivery may start that waits for a time, in epoch milliseconds; Infinity when none does. */
  nextDueAtMs(nowMs: number): number;
}

/** The one queue of an endpoint that gets the whole feed in order. No record's queue is called so. */
const STRICT_KEY = '';

/** Without `batching` each event is a request. In strict order all events of the feed are in one queue. */
export function createOrderingQueues(batching?: Batching, order: DeliveryOrder = 'record'): OrderingQueues {
  const queues = new Map<string, OrderingQueue>();
  /** Queues whose first is a queued one, queues whose first is a retry that is due, and batches that were given back. */
  const fresh = batching === undefined ? createTurns() : createGathering(batching);
  const due: OrderingQueue[] = [];
  const returned: DeliveryBatch[] = [];
  /** Queues whose first is a retry that is not due. */
  const waiting = new Set<OrderingQueue>();
  /** Queues whose first may go only when what follows it was read from the log. */
  const unread = new Set<OrderingQueue>();
  const behind = createRecordsBehind();
  const reads = createRetryReads();
  let scanAtMs = 0;
  let retryCount = 0;
  let queuedCharacters = 0;
  let turn = 0;

  /** What happened to the account is told beside the feed, and has no place in its order. */
  const keyOf = ({ record, position }: Delivery): string =>
    order === 'strict' && comparePositions(position, FEED_LIMIT) < 0 ? STRICT_KEY : orderingKey(record);

  const queueOf = (delivery: Delivery): OrderingQueue => {
    const key = keyOf(delivery);
    const known = queues.get(key);
    if (known !== undefined) return known;
    const queue: OrderingQueue = { key, retries: [], queued: [], isBusy: false, isReady: false };
    queues.set(key, queue);
    return queue;
  };

  /** Puts a queue where its first delivery belongs. */
  const place = (queue: OrderingQueue) => {
    if (queue.isBusy || queue.isReady) return;
    const [head] = queue.retries;
    unread.delete(queue);
    if (head?.hasMore === true) {
      unread.add(queue);
      return;
    }
    if (head === undefined && queue.queued.length === 0) {
      queues.delete(queue.key);
      return;
    }
    if (head !== undefined && head.nextAttemptAtMs > 0) {
      waiting.add(queue);
      scanAtMs = Math.min(scanAtMs, head.nextAttemptAtMs);
      return;
    }
    queue.isReady = true;
    if (head === undefined) fresh.add(queue);
    else due.push(queue);
  };

  const scanWaiting = (nowMs: number) => {
    if (nowMs < scanAtMs) return;
    let next = Number.POSITIVE_INFINITY;
    for (const queue of waiting) {
      const at = queue.retries[0]?.nextAttemptAtMs ?? 0;
      if (at > nowMs) {
        next = Math.min(next, at);
        continue;
      }
      waiting.delete(queue);
      queue.isReady = true;
      due.push(queue);
    }
    scanAtMs = Math.max(next, nowMs + DUE_SCAN_INTERVAL_MS, nowMs + waiting.size / WAITING_PER_SCAN_MS);
  };

  const takeDue = (): DeliveryBatch | undefined => {
    const delivery = due.shift()?.retries[0];
    return delivery === undefined ? undefined : createDeliveryBatch(delivery);
  };

  const takeFresh = (nowMs: number): DeliveryBatch | undefined => {
    const [first, ...others] = fresh.take(nowMs);
    return first === undefined ? undefined : createDeliveryBatch(first, ...others);
  };

  /** At its place among those from `from` on. */
  const insertRetry = (queue: OrderingQueue, delivery: Delivery, from: number) => {
    const after = queue.retries.findIndex(
      (other, index) => index >= from && comparePositions(other.position, delivery.position) > 0,
    );
    queue.retries.splice(after === -1 ? queue.retries.length : after, 0, delivery);
    retryCount += 1;
    if (delivery.hasMore === true) behind.add(delivery);
  };

  const readyCount = () => fresh.count + due.length + returned.length;

  const takers = [takeDue, takeFresh, () => returned.shift()];

  const release = (delivery: Delivery): OrderingQueue => {
    const queue = queueOf(delivery);
    queue.isBusy = false;
    if (queue.retries[0] === delivery) {
      reads.end(delivery);
      queue.retries.shift();
      retryCount -= 1;
    } else if (queue.queued[0] === delivery) {
      queue.queued.shift();
      queuedCharacters -= delivery.inlineCharacters;
    }
    return queue;
  };

  /** The delivery is scheduled as its row was read. */
  const takeOver = (known: Delivery, { nextAttemptAtMs, attemptCount, askedXid }: Delivery) => {
    known.nextAttemptAtMs = nextAttemptAtMs;
    known.attemptCount = attemptCount;
    known.askedXid = askedXid;
  };

  const addRetry = (delivery: Delivery) => {
    if (reads.isOutdated(delivery)) return;
    const queue = queueOf(delivery);
    const isSame = (other: Delivery) => comparePositions(other.position, delivery.position) === 0;
    const known = queue.retries.find(isSame);
    if (known !== undefined) {
      const isHead = known === queue.retries[0];
      if (queue.isBusy && isHead) {
        if (delivery.askedXid !== known.askedXid) known.askedAgain = delivery;
        return;
      }
      takeOver(known, delivery);
      if (isHead && waiting.delete(queue)) place(queue);
      return;
    }
    if (queue.queued.some(isSame)) return;
    if (queue.isReady && queue.retries.length === 0) {
      fresh.remove(queue);
      queue.isReady = false;
    }
    // Under way now is the first; nothing may come before it.
    const from = queue.isBusy && queue.retries.length > 0 ? 1 : 0;
    insertRetry(queue, delivery, from);
    waiting.delete(queue);
    place(queue);
  };

  return {
    enqueue(delivery) {
      const queue = queueOf(delivery);
      if (queue.retries.some(({ hasMore }) => hasMore === true)) {
        addRetry(delivery);
        return false;
      }
      queue.queued.push(delivery);
      queuedCharacters += delivery.inlineCharacters;
      if (queue.isReady && queue.retries.length === 0) fresh.grow(delivery);
      place(queue);
      return true;
    },
    addRetry,
    reads,
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
          const queue = queueOf(delivery);
          queue.isBusy = true;
          queue.isReady = false;
          if (queue.retries[0] === delivery) reads.start(delivery);
        }
        return batch;
      }
      return undefined;
    },
    isWaitedFor({ deliveries: [first, ...others] }) {
      const queue = queueOf(first);
      return others.length > 0 || queue.retries.length + queue.queued.length > 1;
    },
    complete({ deliveries }) {
      for (const delivery of deliveries) {
        const queue = release(delivery);
        if (delivery.askedAgain !== undefined) insertRetry(queue, delivery.askedAgain, 0);
      }
      for (const delivery of deliveries) {
        const queue = queues.get(keyOf(delivery));
        if (queue !== undefined) place(queue);
      }
    },
    scheduleRetry(delivery) {
      const queue = release(delivery);
      // Asked for again after its outcome was known: its row is scheduled as that says.
      if (delivery.askedAgain !== undefined) takeOver(delivery, delivery.askedAgain);
      delete delivery.askedAgain;
      insertRetry(queue, delivery, 0);
      place(queue);
    },
    giveBack(batch) {
      returned.push(batch);
      // All others that may go are first, so that one at fault is not asked about again and again.
      turn = 0;
    },
    overflow(limit, limitOfRecord) {
      // Of the whole feed all would overflow to retry: it waits in the log, behind the cursor.
      if (order === 'strict') return { retries: [], passed: [] };
      const retries: Delivery[] = [];
      const passed: Delivery[] = [];
      for (const queue of waiting) {
        if (retries.length >= limit) break;
        if (queue.queued.length === 0) continue;
        // At least one of those queued: what was asked for again has later events that were delivered long ago.
        const room = Math.max(1, limitOfRecord - queue.retries.length);
        const moved = queue.queued.splice(0, Math.min(room, limit - retries.length));
        queue.retries.push(...moved);
        retries.push(...moved);
        const last = moved.at(-1);
        if (last === undefined || moved.length < room) continue;
        // What is left to the log is read again by its one key.
        if (![...queue.retries, ...queue.queued].every((each) => each.record === last.record)) continue;
        behind.add(last);
        for (const delivery of queue.queued) behind.pass(last.record, delivery.position);
        passed.push(...queue.queued.splice(0));
      }
      retryCount += retries.length;
      for (const { inlineCharacters } of [...retries, ...passed]) queuedCharacters -= inlineCharacters;
      return { retries, passed };
    },
    pass(record, position) {
      if (!behind.has(record)) return false;
      behind.pass(record, position);
      return true;
    },
    get nextBehind() {
      const [queue] = unread;
      return queue?.retries[0];
    },
    catchUp(last, following, upTo) {
      const queue = queueOf(last);
      const retries = following.map((delivery) => {
        const isSame = (other: Delivery) => comparePositions(other.position, delivery.position) === 0;
        const known = queue.retries.find(isSame);
        if (known === undefined) insertRetry(queue, delivery, 0);
        return known ?? delivery;
      });
      const changed = behind.catchUp(last, retries, upTo);
      // In turn, when more than one is to be read.
      unread.delete(queue);
      place(queue);
      return changed;
    },
    get readyCount() {
      return readyCount();
    },
    get retryCount() {
      return retryCount;
    },
    get queuedCharacters() {
      return queuedCharacters;
    },
    nextDueAtMs: (nowMs) =>
      Math.min(fresh.nextAtMs(nowMs), waiting.size > 0 ? scanAtMs : Number.POSITIVE_INFINITY),
  };
}
