import { comparePositions, type Position } from '../../../shared/domain/position.ts';
import type { Delivery } from '../store/progress.ts';

/** Limit of retries of an endpoint. Beyond it the cursor waits until some of them end. */
export const MAX_RETRIES_OF_ENDPOINT = 10_000;

/**
 * Limit of retries of one record, high enough that each read of the log serves many. Once an endpoint has half of
 * `MAX_RETRIES_OF_ENDPOINT`, a record gets one: only thousands of failing records can then stop the cursor.
 */
export const MAX_RETRIES_OF_RECORD = 50;

interface Behind {
  /** The last scheduled retry of the record. Its `hasMore` is true. */
  last: Delivery;
  /** The latest event of the record that the cursor has passed, or undefined if none since the start. */
  passedTo: Position | undefined;
}

/**
 * Records of an endpoint with more events than are scheduled for retry. The cursor passes their later events, which are
 * read from the log by record key after those retries. So a record costs a bounded number of rows, however many of its
 * events wait.
 */
export interface RecordsBehind {
  has(record: string): boolean;
  /** Leaves later events of the delivery's record to the log. */
  add(last: Delivery): void;
  /** Notes that the cursor has passed an event of a record that is behind. */
  pass(record: string, position: Position): void;
  /**
   * Adds the events that follow `last`, read from the log and now scheduled for retry as `deliveries`.
   *
   * @param upTo the position up to which these are all events; undefined when there may be more
   * @returns the retries to save
   */
  catchUp(last: Delivery, deliveries: readonly Delivery[], upTo: Position | undefined): Delivery[];
}

export function createRecordsBehind(): RecordsBehind {
  const records = new Map<string, Behind>();
  return {
    has: (record) => records.has(record),
    add(last) {
      last.hasMore = true;
      const passedTo = records.get(last.record)?.passedTo;
      records.set(last.record, { last, passedTo });
    },
    pass(record, position) {
      const known = records.get(record);
      if (known !== undefined) known.passedTo = position;
    },
    catchUp(last, deliveries, upTo) {
      const known = records.get(last.record);
      if (known?.last !== last) return [];
      // Events that the cursor passed during the read may be missing from it.
      const isAll =
        upTo !== undefined && (known.passedTo === undefined || comparePositions(known.passedTo, upTo) <= 0);
      const next = deliveries.at(-1) ?? last;
      if (!isAll && next === last) return [];
      last.hasMore = false;
      if (isAll) {
        records.delete(last.record);
      } else {
        next.hasMore = true;
        known.last = next;
      }
      return [last, ...deliveries];
    },
  };
}
