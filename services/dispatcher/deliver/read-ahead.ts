import { comparePositions, type Position } from '../../../shared/domain/position.ts';
import { type EndpointSettings, isEventWanted } from '../endpoints/endpoint.ts';
import { type Delivery, NEVER_ASKED, type Progress } from '../store/progress.ts';
import type { EventRun, LoggedEvent } from '../store/read-events.ts';
import type { OrderingQueues, Overflow } from './ordering-queues.ts';
import { MAX_RETRIES_OF_ENDPOINT, MAX_RETRIES_OF_RECORD } from './records-behind.ts';

/** Events read ahead of the cursor: what one slow request can hold up, and the longest list of finished ones. */
const MAX_AHEAD = 1_000;

/** With batches at least so many of them, so that some are under way while the next one gathers. */
const BATCHES_AHEAD = 4;

/** Text of the events read ahead of a cursor. */
const MAX_AHEAD_CHARACTERS = 8 * 1_024 * 1_024;

/** Deliveries moved out of the read-ahead at once when it is full of those that wait for a retry. */
const OVERFLOW_COUNT = 500;

/** Deliveries that could start, for each request under way: enough while the next page is read. */
const READY_PER_REQUEST = 2;

const MIN_PAGE_ROWS = 20;
const MAX_PAGE_ROWS = 250;
const MAX_BATCHED_PAGE_ROWS = 500;

export interface ReadAheadDeps {
  readonly settings: () => EndpointSettings;
  /** Requests under way. */
  readonly inFlight: () => number;
  /** Done and not saved yet. */
  readonly unsaved: () => number;
  readonly progress: Progress;
  readonly queues: OrderingQueues;
  readonly readEvents: (
    accountId: string,
    after: Position,
    limit: number,
    patterns: readonly string[],
  ) => Promise<LoggedEvent[]>;
  /** The queues overflow it to retry, where it waits for others. */
  readonly overflowToRetry: (delivery: Delivery) => void;
  /** Name that the types of a resource's events start with. */
  readonly singularOf: (resource: string) => string | undefined;
  readonly now: () => number;
}

/**
 * Brings an endpoint's next events into its queues: from the log, page by page, or straight from the recorder when it
 * has just recorded those that follow. Either way the events come in the order of the log and without a gap.
 */
export interface ReadAhead {
  /** Whether the log may hold events that are not read yet. */
  readonly mayHaveMore: boolean;
  /** There may be something new in the log. */
  wake(): void;
  /** Whether there is something to read, and room for it. */
  isDue(): boolean;
  /** Reads a page, and takes what was offered meanwhile. @returns how many events these were. @throws when the log can't be read */
  read(): Promise<number>;
  /**
   * Takes events that were just recorded, if they follow what was read last and there is room for them. Those that come while
   * a page is being read are kept until it is there.
   *
   * @returns whether they are taken already
   */
  take(run: EventRun): boolean;
  /**
   * When the read-ahead is full, turns those events in it that wait for a retry into retries, or leaves them to
   * the log when their record has enough of those, so that the cursor can go on.
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
  /** What was offered while the log is being read. */
  let kept: EventRun[] = [];

  const maxAhead = () => Math.max(MAX_AHEAD, BATCHES_AHEAD * (settings().batching?.maxEvents ?? 0));

  const isFull = () => progress.aheadCount >= maxAhead() || queues.queuedCharacters >= MAX_AHEAD_CHARACTERS;

  /**
   * As many again as are under way: an endpoint whose requests hang needs no page for each that ends. And as many as were
   * done since the last save, because a read of the log takes about as long as a save does.
   */
  const wantedReady = () =>
    Math.min(settings().maxInFlight, Math.max(1, READY_PER_REQUEST * inFlight())) + unsaved();

  const hasRoom = () =>
    !isFull() &&
    queues.retryCount < MAX_RETRIES_OF_ENDPOINT &&
    (settings().batching !== undefined || queues.readyCount < wantedReady());

  /** Five hundred endpoints whose requests hang come to the end of their pages together. */
  const pageRows = () => {
    if (settings().batching !== undefined) return MAX_BATCHED_PAGE_ROWS;
    return Math.min(MAX_PAGE_ROWS, Math.max(MIN_PAGE_ROWS, 2 * wantedReady()));
  };

  const admit = (event: LoggedEvent, readAtMs: number) => {
    const isWanted = isEventWanted(settings().selection, event, singularOf);
    if (!isWanted || progress.isDone(event.position)) {
      progress.skip(event.position);
      return;
    }
    const record = `${event.resource}/${event.recordKey}`;
    if (queues.pass(record, event.position)) {
      // Counted as finished, not skipped: after a crash it must not be read once more, in front of the cursor.
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

  /** Between what was read last and its first event there are no others, and there is room for it. */
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

  /** Beyond a page's worth they are left to the log, which has them by then. */
  const keep = (run: EventRun) => {
    const count = kept.reduce((sum, { events }) => sum + events.length, run.events.length);
    if (count > MAX_PAGE_ROWS) mayHaveMore = true;
    else kept.push(run);
  };

  /** Takes what was offered meanwhile. @returns how many events that were; undefined when some have to be read */
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
      // Before the look, so that an event recorded while we look makes us look again.
      mayHaveMore = false;
      const { accountId, selection } = settings();
      const limit = pageRows();
      try {
        const events = await readEvents(accountId, progress.readTo, limit, selection.patterns);
        const readAtMs = now();
        for (const event of events) admit(event, readAtMs);
        // Whoever is behind by less than a page has caught up with this, and need not look again.
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
