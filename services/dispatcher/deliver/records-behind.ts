import { comparePositions, type Position } from '../../../shared/domain/position.ts';
import type { Delivery } from '../store/progress.ts';

/** Retries of an endpoint; beyond this its cursor waits until some of them are through. */
export const MAX_RETRIES_OF_ENDPOINT = 10_000;

/**
 * Retries of one record: some, so that each look into the log serves many. When an endpoint has half of what it may
 * have, a record gets one, so that it takes thousands of records that fail to stop the cursor.
 */
export const MAX_RETRIES_OF_RECORD = 50;

interface Behind {
  /** The last retry of what was read of the record; it says so by `hasMore`. */
  last: Delivery;
  /** The latest event the cursor has passed here; undefined when none since the start. */
  passedTo: Position | undefined;
}

/**
 * Records of an endpoint of which more events wait than are scheduled for retry. The cursor passes their later events,
 * which are read from the log by record when those retries are done. However many wait, a record costs a bounded number of rows.
 */
export interface RecordsBehind {
  has(record: string): boolean;
  /** Later events of the delivery's record are left to the log. */
  add(last: Delivery): void;
  /** The cursor has passed an event of a record that is behind. */
  pass(record: string, position: Position): void;
  /**
   * The events that follow `last` were read from the log; `deliveries` are those as they are scheduled for retry now.
   *
   * @param upTo how far the log was read when these are all; undefined when there may be more
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
      // What the cursor passed while the log was being read need not have been found there.
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
