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
 * Shortest interval between two scans for due retries. The interval grows with their number: ten thousand retries that
 * are due in minutes are scanned once a second.
 */
const DUE_SCAN_INTERVAL_MS = 50;
const WAITING_PER_SCAN_MS = 10;

/** Deliveries that left the queues because they waited behind retries. */
export interface Overflow {
  readonly retries: readonly Delivery[];
  /** Left to the log, because enough events of their record are scheduled for retry. */
  readonly passed: readonly Delivery[];
}

/**
 * The deliveries of one endpoint, in one queue per record. Only the first of a queue may start, and only when none of
 * the queue is under way. A queue whose first is a retry waits until that is due; other queues continue. Retries are
 * sent one by one. New deliveries are sent one by one or in batches, and a batch may hold several of a queue.
 */
export interface OrderingQueues {
  /**
   * Adds a new event behind all others of its record. The event overflows to retry at once when later events of another
   * record in the same queue are left to the log: those will be found by position among the retries, and would overtake
   * what is queued here.
   *
   * @returns whether it was queued; false when it overflowed to retry
   */
  enqueue(delivery: Delivery): boolean;
  /**
   * Adds an event that was scheduled for retry before, in order of position. If it waits here already, its time is
   * replaced; if it is under way, it is sent once more afterwards.
   */
  addRetry(delivery: Delivery): void;
  /** Tracks what ends while retries are read from the store, so that outdated rows are ignored. */
  readonly reads: Pick<RetryReads, 'begin' | 'finish'>;
  /** Whether `take` may return a batch. */
  hasReady(nowMs: number): boolean;
  /**
   * The next batch to send; its queues are busy until it completes. Retries, new events and batches that were put back
   * take turns.
   */
  take(nowMs: number): DeliveryBatch | undefined;
  /** Whether other deliveries wait for this batch to end, as far as that is cheap to tell. */
  isWaitedFor(batch: DeliveryBatch): boolean;
  /** Ends a batch: its queues continue. */
  complete(batch: DeliveryBatch): void;
  /** Ends a batch of one that failed. The delivery waits for `nextAttemptAtMs`, and its queue with it. */
  scheduleRetry(delivery: Delivery): void;
  /** Puts a batch back unchanged, behind all others that may start. Its queues stay busy. */
  giveBack(batch: DeliveryBatch): void;
  /**
   * Turns at most `limit` queued deliveries that wait behind a retry into retries. A record with `limitOfRecord` of
   * them is behind from then on: the rest of its queue is dropped and read from the log later.
   */
  overflow(limit: number, limitOfRecord: number): Overflow;
  /** Whether the record is behind. Then this event, which was not queued, is left to the log. */
  pass(record: string, position: Position): boolean;
  /** The last retry of a record that is behind, when it is due: the events after it have to be read first. */
  readonly nextBehind: Delivery | undefined;
  /** Schedules the events that follow `last` in the log for retry; see `RecordsBehind`. */
  catchUp(last: Delivery, following: readonly Delivery[], upTo: Position | undefined): Delivery[];
  /** Number of queues and batches that could start now. */
  readonly readyCount: number;
  readonly retryCount: number;
  /** Payload length of the deliveries that are no retries, in characters. */
  readonly queuedCharacters: number;
  /** When the next waiting delivery is due, in epoch milliseconds. Infinity when none waits for a time. */
  nextDueAtMs(nowMs: number): number;
}

/** The key of the only queue of an endpoint with strict order. No record's key is empty. */
const STRICT_KEY = '';

/** Without `batching` each event is a request. In strict order all events of the feed share one queue. */
export function createOrderingQueues(batching?: Batching, order: DeliveryOrder = 'record'): OrderingQueues {
  const queues = new Map<string, OrderingQueue>();
  /**
   * Three kinds that may start: queues whose first is new, queues whose first is a due retry, and batches that were put
   * back.
   */
  const fresh = batching === undefined ? createTurns() : createGathering(batching);
  const due: OrderingQueue[] = [];
  const returned: DeliveryBatch[] = [];
  /** Queues whose first is a retry that is not due. */
  const waiting = new Set<OrderingQueue>();
  /** Queues whose first may start only after the events that follow it were read from the log. */
  const unread = new Set<OrderingQueue>();
  const behind = createRecordsBehind();
  const reads = createRetryReads();
  let scanAtMs = 0;
  let retryCount = 0;
  let queuedCharacters = 0;
  let turn = 0;

  /** Events about the account itself are not part of the feed and of its order. */
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

  /** Moves a queue into the set where its first delivery belongs. */
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

  /** Inserts a retry by position, not before index `from`. */
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

  /** Replaces the schedule of a known delivery by that of its row. */
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
    // The first is under way, so nothing may be inserted before it.
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
      // The owner asked for a replay while it was under way, so the row's schedule counts.
      if (delivery.askedAgain !== undefined) takeOver(delivery, delivery.askedAgain);
      delete delivery.askedAgain;
      insertRetry(queue, delivery, 0);
      place(queue);
    },
    giveBack(batch) {
      returned.push(batch);
      // All others that may start go first, so that a failing batch is not retried again and again.
      turn = 0;
    },
    overflow(limit, limitOfRecord) {
      // With strict order everything queued would overflow. Instead it waits in the log, behind the cursor.
      if (order === 'strict') return { retries: [], passed: [] };
      const retries: Delivery[] = [];
      const passed: Delivery[] = [];
      for (const queue of waiting) {
        if (retries.length >= limit) break;
        if (queue.queued.length === 0) continue;
        // At least one queued delivery: of an event that is replayed, later events may have been delivered long ago.
        const room = Math.max(1, limitOfRecord - queue.retries.length);
        const moved = queue.queued.splice(0, Math.min(room, limit - retries.length));
        queue.retries.push(...moved);
        retries.push(...moved);
        const last = moved.at(-1);
        if (last === undefined || moved.length < room) continue;
        // What is left to the log is read again by one record key, so a queue of several keys is skipped.
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
      // Takes turns, when several queues have to be read.
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
