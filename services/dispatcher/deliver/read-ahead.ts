import { comparePositions, type Position } from '../../../shared/domain/position.ts';
import { type EndpointSettings, isEventWanted } from '../endpoints/endpoint.ts';
import { type Delivery, NEVER_ASKED, type Progress } from '../store/progress.ts';
import type { EventRun, LoggedEvent } from '../store/read-events.ts';
import type { OrderingQueues, Overflow } from './ordering-queues.ts';
import { MAX_RETRIES_OF_ENDPOINT, MAX_RETRIES_OF_RECORD } from './records-behind.ts';

/**
 * Limit of events read ahead of the cursor. One slow request holds up at most this many, and the list of finished ones
 * is no longer.
 */
const MAX_AHEAD = 1_000;

/** With batching, at least this many batches are read ahead: some are under way while the next one gathers. */
const BATCHES_AHEAD = 4;

/** Payload characters of the events read ahead of a cursor. */
const MAX_AHEAD_CHARACTERS = 8 * 1_024 * 1_024;

/** Deliveries that overflow to retry at once when all events read ahead wait for retries. */
const OVERFLOW_COUNT = 500;

/** Deliveries ready to start per request under way: enough to last while the next page is read. */
const READY_PER_REQUEST = 2;

const MIN_PAGE_ROWS = 20;
const MAX_PAGE_ROWS = 250;
const MAX_BATCHED_PAGE_ROWS = 500;

export interface ReadAheadDeps {
  readonly settings: () => EndpointSettings;
  /** Number of requests under way. */
  readonly inFlight: () => number;
  /** Number of finished batches that are not saved yet. */
  readonly unsaved: () => number;
  readonly progress: Progress;
  readonly queues: OrderingQueues;
  readonly readEvents: (
    accountId: string,
    after: Position,
    limit: number,
    patterns: readonly string[],
  ) => Promise<LoggedEvent[]>;
  /** Called for a delivery that the queues overflow to retry at once. */
  readonly overflowToRetry: (delivery: Delivery) => void;
  /** The name that starts the event types of a resource. */
  readonly singularOf: (resource: string) => string | undefined;
  readonly now: () => number;
}

/**
 * Moves an endpoint's next events into its queues. They come from the log, page by page, or straight from the recorder
 * if it has just recorded the next ones. Either way they come in log order and without a gap.
 */
export interface ReadAhead {
  /** Whether the log may hold events that are not read yet. */
  readonly mayHaveMore: boolean;
  /** The log may have new events. */
  wake(): void;
  /** Whether there is something to read, and room for it. */
  isDue(): boolean;
  /**
   * Reads a page, then takes the events that were offered during the read.
   *
   * @returns the number of events.
   * @throws when the log can't be read
   */
  read(): Promise<number>;
  /**
   * Takes events that were just recorded, if they directly follow the last one read and there is room. Events offered
   * during a read are kept until the read ends.
   *
   * @returns whether the events are queued now
   */
  take(run: EventRun): boolean;
  /**
   * Frees a full read-ahead so that the cursor can move: events that wait behind a retry become retries, or are left to
   * the log when their record has enough retries.
   */
  overflow(): Overflow;
}

export function createReadAhead({
  settings,
  inFlight,
  unsaved,
  progress,
  queues,
  readEvents,
  overflowToRetry,
  singularOf,
  now,
}: ReadAheadDeps): ReadAhead {
  let mayHaveMore = true;
  let isReading = false;
  /** Events offered while the log is being read. */
  let kept: EventRun[] = [];

  const maxAhead = () => Math.max(MAX_AHEAD, BATCHES_AHEAD * (settings().batching?.maxEvents ?? 0));

  const isFull = () => progress.aheadCount >= maxAhead() || queues.queuedCharacters >= MAX_AHEAD_CHARACTERS;

  /**
   * As many as are under way, so that an endpoint whose requests hang does not read a page for each that ends. Plus as
   * many as finished since the last save, because a read of the log takes about as long as a save.
   */
  const wantedReady = () =>
    Math.min(settings().maxInFlight, Math.max(1, READY_PER_REQUEST * inFlight())) + unsaved();

  const hasRoom = () =>
    !isFull() &&
    queues.retryCount < MAX_RETRIES_OF_ENDPOINT &&
    (settings().batching !== undefined || queues.readyCount < wantedReady());

  /**
   * Rows of the next page: few for an endpoint with few requests under way, because hundreds of endpoints whose
   * requests hang reach the end of their pages together.
   */
  const pageRows = () => {
    if (settings().batching !== undefined) return MAX_BATCHED_PAGE_ROWS;
    return Math.min(MAX_PAGE_ROWS, Math.max(MIN_PAGE_ROWS, 2 * wantedReady()));
  };

  const admit = (event: LoggedEvent, readAtMs: number) => {
    const isWanted = isEventWanted(settings().selection, event, singularOf);
    if (!isWanted || progress.isDone(event.position)) {
      progress.passOver(event.position);
      return;
    }
    const record = `${event.resource}/${event.recordKey}`;
    if (queues.pass(record, event.position)) {
      // Counted as finished, not as skipped: after a crash it must not be read again ahead of the cursor.
      progress.finish(progress.admit(event.position));
      return;
    }
    const delivery: Delivery = {
      position: event.position,
      committedAt: event.committedAt,
      type: event.type,
      resource: event.resource,
      record,
      payload: event.payload,
      attemptCount: 0,
      readAtMs,
      inlineCharacters: event.payload?.length ?? 0,
      pending: progress.admit(event.position),
      nextAttemptAtMs: 0,
      askedXid: NEVER_ASKED,
    };
    if (event.traceparent !== undefined) delivery.traceparent = event.traceparent;
    if (!queues.enqueue(delivery)) overflowToRetry(delivery);
  };

  /** Whether the run directly follows the last event read, and there is room for it. */
  const canTake = ({ after, events }: EventRun): boolean =>
    after !== undefined &&
    comparePositions(progress.readTo, after) >= 0 &&
    hasRoom() &&
    progress.aheadCount + events.length <= maxAhead();

  const admitRun = ({ events }: EventRun) => {
    const readAtMs = now();
    for (const event of events) {
      if (comparePositions(event.position, progress.readTo) > 0) admit(event, readAtMs);
    }
  };

  /** Keeps at most a page. The rest is left to the log, which has it by then. */
  const keep = (run: EventRun) => {
    const count = kept.reduce((sum, { events }) => sum + events.length, run.events.length);
    if (count > MAX_PAGE_ROWS) mayHaveMore = true;
    else kept.push(run);
  };

  /**
   * Takes the events offered during a read.
   *
   * @returns their number, or undefined when some have to be read from the log
   */
  const takeKept = (): number | undefined => {
    let count = 0;
    for (const run of kept) {
      if (!canTake(run)) return undefined;
      admitRun(run);
      count += run.events.length;
    }
    return count;
  };

  return {
    get mayHaveMore() {
      return mayHaveMore;
    },
    wake() {
      mayHaveMore = true;
    },
    isDue: () => mayHaveMore && !isReading && hasRoom(),
    async read() {
      if (isReading) return 0;
      isReading = true;
      // Cleared before the read, so that an event recorded during the read causes another read.
      mayHaveMore = false;
      const { accountId, selection } = settings();
      const limit = pageRows();
      try {
        const events = await readEvents(accountId, progress.readTo, limit, selection.patterns);
        const readAtMs = now();
        for (const event of events) admit(event, readAtMs);
        // A page that is not full ends at the present, so no further read is needed.
        const keptCount = events.length === limit ? undefined : takeKept();
        if (keptCount === undefined) mayHaveMore = true;
        return events.length + (keptCount ?? 0);
      } catch (error) {
        mayHaveMore = true;
        throw error;
      } finally {
        isReading = false;
        kept = [];
      }
    },
    take(run) {
      if (isReading) {
        keep(run);
        return false;
      }
      if (!canTake(run)) {
        mayHaveMore = true;
        return false;
      }
      admitRun(run);
      return true;
    },
    overflow() {
      if (!isFull()) return { retries: [], passed: [] };
      const { retryCount } = queues;
      const ofRecord = retryCount < MAX_RETRIES_OF_ENDPOINT / 2 ? MAX_RETRIES_OF_RECORD : 1;
      return queues.overflow(Math.min(OVERFLOW_COUNT, MAX_RETRIES_OF_ENDPOINT - retryCount), ofRecord);
    },
  };
}
