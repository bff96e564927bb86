import type { Position } from '../../../shared/domain/position.ts';
import { type EndpointSettings, isEventWanted } from '../endpoints/endpoint.ts';
import { type Delivery, NEVER_ASKED, type Progress } from '../store/progress.ts';
import type { RecordEvents } from '../store/read-events.ts';
import type { OrderingQueues } from './ordering-queues.ts';
import { MAX_RETRIES_OF_ENDPOINT, MAX_RETRIES_OF_RECORD } from './records-behind.ts';

/** Reads at most `limit` events of one record, after one position and up to another. */
export type ReadRecordEvents = (
  accountId: string,
  record: string,
  after: Position,
  upTo: Position,
  limit: number,
) => Promise<RecordEvents>;

export interface CatchUpDeps {
  readonly settings: () => EndpointSettings;
  readonly progress: Progress;
  readonly queues: OrderingQueues;
  readonly readRecordEvents: ReadRecordEvents;
  readonly singularOf: (resource: string) => string | undefined;
}

/** Loads events of records that are behind from the log into their queues, when their retries are done. */
export interface CatchUp {
  /** Whether a record waits for its events, and no read is under way. */
  isDue(): boolean;
  /** Reads the next events of one record. @returns retries to save. @throws when the log can't be read */
  read(): Promise<Delivery[]>;
}

export function createCatchUp({
  settings,
  progress,
  queues,
  readRecordEvents,
  singularOf,
}: CatchUpDeps): CatchUp {
  let isReading = false;

  const readOn = async (last: Delivery): Promise<Delivery[]> => {
    const { accountId } = settings();
    const upTo = progress.finishedTo;
    const limit = queues.retryCount < MAX_RETRIES_OF_ENDPOINT / 2 ? MAX_RETRIES_OF_RECORD : 1;
    let after = last.position;
    for (;;) {
      const { events, readTo } = await readRecordEvents(accountId, last.record, after, upTo, limit);
      const wanted = events.filter((event) => isEventWanted(settings().selection, event, singularOf));
      const isAll = readTo === undefined;
      if (wanted.length > 0 || isAll) {
        const deliveries = wanted.map(
          ({ position, committedAt, resource }): Delivery => ({
            position,
            committedAt,
            type: undefined,
            resource,
            record: last.record,
            payload: undefined,
            attemptCount: 0,
            readAtMs: 0,
            inlineCharacters: 0,
            pending: undefined,
            nextAttemptAtMs: 0,
            askedXid: NEVER_ASKED,
          }),
        );
        return queues.catchUp(last, deliveries, isAll ? upTo : undefined);
      }
      after = readTo;
    }
  };

  return {
    isDue: () => !isReading && queues.nextBehind !== undefined,
    async read() {
      const last = queues.nextBehind;
      if (isReading || last === undefined) return [];
      isReading = true;
      try {
        return await readOn(last);
      } finally {
        isReading = false;
      }
    },
  };
}
