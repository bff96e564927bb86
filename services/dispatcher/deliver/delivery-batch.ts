import { comparePositions } from '../../../shared/domain/position.ts';
import type { Batching, DeliveryOrder } from '../endpoints/endpoint.ts';
import type { Delivery } from '../store/progress.ts';
import { orderingKey } from './ordering-key.ts';

/**
 * What goes in one request: one delivery, or a batch of them in the order of their positions. No two batches that are
 * taken at once hold deliveries of the same record.
 */
export interface DeliveryBatch {
  readonly deliveries: readonly [Delivery, ...Delivery[]];
  /** Times it was given back because the endpoint asked for less. */
  returnCount: number;
}

export function createDeliveryBatch(first: Delivery, ...others: readonly Delivery[]): DeliveryBatch {
  return { deliveries: [first, ...others], returnCount: 0 };
}

/**
 * Two smaller batches of the same deliveries, so that the one at fault is found among many in a few steps. Each record
 * stays whole, because its second half may not go before its first; of a single record's deliveries there is no second
 * batch, and those left out follow later. In strict order all are as one record's.
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

/** Text of one batch, so that receivers with the usual limit of a megabyte take it. A longer event goes alone. */
export const MAX_BATCH_BYTES = 512 * 1_024;

/** One record's deliveries at one endpoint, in the order of positions. */
export interface OrderingQueue {
  readonly key: string;
  /** All of them before what is queued. */
  retries: Delivery[];
  queued: Delivery[];
  /** Some of it is in a batch that was taken. */
  isBusy: boolean;
  /** It is among those that may start. */
  isReady: boolean;
}

/** Queues whose first is a queued delivery and that may start: what the next request is made of. */
export interface FreshQueues {
  /** Queues in here. */
  readonly count: number;
  add(queue: OrderingQueue): void;
  /** A delivery was queued in a queue that is in here. */
  grow(delivery: Delivery): void;
  /** A retry was added to a queue that is in here, and goes before what is queued. */
  remove(queue: OrderingQueue): void;
  /** What goes next, in the order of positions; its queues leave. Empty when there is nothing, or when more is waited for. */
  take(nowMs: number): Delivery[];
  /** When, later than now, what is gathered goes as it is, in epoch milliseconds; Infinity when nothing is waited for. */
  nextAtMs(nowMs: number): number;
}

/** One delivery a request, queues in turn: one given back lets all others go first. */
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
 * Batches: the deliveries that may go, in the order of positions whatever their records, as many as a batch holds.
 * They go at once when it is full, otherwise when the first of them has waited long enough.
 */
export function createGathering({ maxEvents, maxWaitMs }: Batching): FreshQueues {
  /** By the position of the first delivery of each. */
  let queues: OrderingQueue[] = [];
  let eventCount = 0;
  let characters = 0;
  /** How many of a queue's deliveries are in the batch that is being made. */
  const taken = new Map<OrderingQueue, number>();

  const headOf = (queue: OrderingQueue): Delivery | undefined => queue.queued[taken.get(queue) ?? 0];
  const isBefore = (a: Delivery | undefined, b: Delivery | undefined) =>
    a !== undefined && b !== undefined && comparePositions(a.position, b.position) < 0;

  const insert = (queue: OrderingQueue) => {
    const head = headOf(queue);
    const last = queues.at(-1);
    // Nearly always it comes last.
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
        // Of one whose text is not at hand only this is known, that it is long.
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
