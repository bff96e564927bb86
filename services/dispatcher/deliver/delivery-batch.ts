import { comparePositions } from '../../../shared/domain/position.ts';
import type { Batching, DeliveryOrder } from '../endpoints/endpoint.ts';
import type { Delivery } from '../store/progress.ts';
import { orderingKey } from './ordering-key.ts';

/**
 * The content of one request: one delivery, or several in the order of their positions. Batches under way at the same
 * time never share a record.
 */
export interface DeliveryBatch {
  readonly deliveries: readonly [Delivery, ...Delivery[]];
  /** How many times the batch was put back because the endpoint asked for fewer requests. */
  returnCount: number;
}

export function createDeliveryBatch(first: Delivery, ...others: readonly Delivery[]): DeliveryBatch {
  return { deliveries: [first, ...others], returnCount: 0 };
}

/**
 * Splits a batch in two, so that the failing event is found in a few steps. All deliveries of a record stay in one
 * half, because a later one may not go before an earlier one. If all are of one record, only the first half is returned
 * and the rest follows later. In strict order all deliveries count as one record.
 *
 * @returns undefined for a batch of one
 */
export function halve(
  { deliveries }: DeliveryBatch,
  order: DeliveryOrder = 'record',
): readonly DeliveryBatch[] | undefined {
  if (deliveries.length === 1) return undefined;
  const records = [
    ...Map.groupBy(deliveries, ({ record }) => (order === 'strict' ? '' : orderingKey(record))).values(),
  ];
  const [only] = records;
  if (records.length === 1 && only !== undefined) return batchOf(only.slice(0, only.length / 2));
  const middle = Math.ceil(records.length / 2);
  return [records.slice(0, middle), records.slice(middle)].flatMap((half) => batchOf(half.flat()));
}

function batchOf(deliveries: readonly Delivery[]): DeliveryBatch[] {
  const [first, ...others] = deliveries.toSorted((a, b) => comparePositions(a.position, b.position));
  return first === undefined ? [] : [createDeliveryBatch(first, ...others)];
}

/**
 * Payload bytes of one batch, so that receivers with the usual limit of a megabyte accept it. A longer event goes
 * alone.
 */
export const MAX_BATCH_BYTES = 512 * 1_024;

/** The deliveries of one record at one endpoint, in the order of positions. */
export interface OrderingQueue {
  readonly key: string;
  /** Deliveries that have failed before. All come before those in `queued`. */
  retries: Delivery[];
  queued: Delivery[];
  /** A batch that is under way holds some of its deliveries. */
  isBusy: boolean;
  /** It is in the set of queues that may start. */
  isReady: boolean;
}

/** Queues that may start and whose first delivery has not failed before. The next request is built from them. */
export interface FreshQueues {
  /** Number of queues in the set. */
  readonly count: number;
  add(queue: OrderingQueue): void;
  /** Updates the set after a delivery was added to one of its queues. */
  grow(delivery: Delivery): void;
  /** Removes a queue whose first delivery is now a retry. */
  remove(queue: OrderingQueue): void;
  /**
   * Removes and returns the next deliveries, in the order of positions. Empty when there are none, or when a batch
   * still waits for more.
   */
  take(nowMs: number): Delivery[];
  /** When an incomplete batch is due, in epoch milliseconds. Infinity when no batch waits. */
  nextAtMs(nowMs: number): number;
}

/** One delivery per request, queues in round-robin: a queue that was put back goes last. */
export function createTurns(): FreshQueues {
  const queues: OrderingQueue[] = [];
  return {
    get count() {
      return queues.length;
    },
    add(queue) {
      queues.push(queue);
    },
    grow: () => undefined,
    remove(queue) {
      queues.splice(queues.indexOf(queue), 1);
    },
    take: () => queues.shift()?.queued.slice(0, 1) ?? [],
    nextAtMs: () => Number.POSITIVE_INFINITY,
  };
}

/**
 * Batches: ready deliveries of all records in the order of positions, as many as a batch may hold. A full batch goes at
 * once, an incomplete one when its first delivery has waited long enough.
 */
export function createGathering({ maxEvents, maxWaitMs }: Batching): FreshQueues {
  /** Sorted by the position of each queue's first delivery. */
  let queues: OrderingQueue[] = [];
  let eventCount = 0;
  let characters = 0;
  /** Number of deliveries of each queue in the batch under construction. */
  const taken = new Map<OrderingQueue, number>();

  const headOf = (queue: OrderingQueue): Delivery | undefined => queue.queued[taken.get(queue) ?? 0];
  const isBefore = (a: Delivery | undefined, b: Delivery | undefined) =>
    a !== undefined && b !== undefined && comparePositions(a.position, b.position) < 0;

  const insert = (queue: OrderingQueue) => {
    const head = headOf(queue);
    const last = queues.at(-1);
    // New queues nearly always belong at the end.
    let low = last !== undefined && isBefore(head, headOf(last)) ? 0 : queues.length;
    let high = queues.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = queues[middle];
      if (other !== undefined && isBefore(headOf(other), head)) low = middle + 1;
      else high = middle;
    }
    queues.splice(low, 0, queue);
  };

  const count = (deliveries: readonly Delivery[], sign: 1 | -1) => {
    eventCount += sign * deliveries.length;
    for (const { payload } of deliveries) characters += sign * (payload?.length ?? MAX_BATCH_BYTES);
  };

  const isDue = (nowMs: number) =>
    eventCount >= maxEvents || characters >= MAX_BATCH_BYTES || nowMs >= gatheredAtMs();

  const gatheredAtMs = () => (queues[0]?.queued[0]?.readAtMs ?? Number.POSITIVE_INFINITY) + maxWaitMs;

  return {
    get count() {
      return queues.length;
    },
    add(queue) {
      insert(queue);
      count(queue.queued, 1);
    },
    grow(delivery) {
      count([delivery], 1);
    },
    remove(queue) {
      queues.splice(queues.indexOf(queue), 1);
      count(queue.queued, -1);
    },
    take(nowMs) {
      if (!isDue(nowMs)) return [];
      const batch: Delivery[] = [];
      let bytes = 0;
      while (batch.length < maxEvents) {
        const [queue] = queues;
        const delivery = queue && headOf(queue);
        if (queue === undefined || delivery === undefined) break;
        // A payload that is not in memory has an unknown length, but it is long.
        bytes += delivery.payload === undefined ? MAX_BATCH_BYTES : Buffer.byteLength(delivery.payload);
        if (batch.length > 0 && bytes > MAX_BATCH_BYTES) break;
        batch.push(delivery);
        queues.shift();
        taken.set(queue, (taken.get(queue) ?? 0) + 1);
        if (headOf(queue) !== undefined) insert(queue);
      }
      queues = queues.filter((queue) => !taken.has(queue));
      for (const queue of taken.keys()) count(queue.queued, -1);
      taken.clear();
      return batch;
    },
    nextAtMs(nowMs) {
      const atMs = gatheredAtMs();
      return atMs > nowMs ? atMs : Number.POSITIVE_INFINITY;
    },
  };
}
