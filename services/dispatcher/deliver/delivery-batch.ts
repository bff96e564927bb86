import { comparePositions } from '../../../shared/domain/position.ts';
import type { DeliveryOrder } from '../endpoints/endpoint.ts';
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
