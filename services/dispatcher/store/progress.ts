import {
  comparePositions,
  formatPosition,
  type Position,
  parsePosition,
} from '../../../shared/domain/position.ts';

/** An event that was admitted and is not finished. */
export interface Pending {
  readonly position: Position;
  /** Where the cursor moves once this and everything before is finished. Grows over events that are passed over. */
  coversTo: Position;
  isFinished: boolean;
}

/** The value for a delivery without a requested replay. */
export const NEVER_ASKED = '0';

/** One event on its way to one endpoint. */
export interface Delivery {
  readonly position: Position;
  /** RFC 3339 with microseconds, as PostgreSQL returns it. Locates the event's partition. */
  readonly committedAt: string;
  /** Undefined for a retry until its payload is loaded. */
  type: string | undefined;
  readonly resource: string;
  /** `<resource>/<record key>`: two requests under way never hold deliveries of one record. */
  readonly record: string;
  /** The payload; undefined until it is loaded, for large events and retries. */
  payload: string | undefined;
  /** Trace context of the span that recorded it, when traced. For a retry, known once its payload is loaded. */
  traceparent?: string | undefined;
  /** Length of the payload that was read with the event. */
  readonly inlineCharacters: number;
  /** Failed attempts so far. */
  attemptCount: number;
  /** When it was read, in epoch milliseconds. Bounds how long it has waited in an incomplete batch. */
  readonly readAtMs: number;
  /** Its place in the endpoint's progress; undefined for a retry, which the cursor has passed. */
  pending: Pending | undefined;
  /** For a retry: when it is due, in epoch milliseconds; 0 when it only waits for its predecessor. */
  nextAttemptAtMs: number;
  /** For a retry: the transaction of the last requested replay, as of its read. */
  askedXid: string;
  /** For a retry: later events of its record are only in the log, and have to be read before it is sent. */
  hasMore?: boolean;
  /** Its new schedule, when a replay was requested while it was under way. */
  askedAgain?: Delivery;
}

export interface ProgressState {
  readonly cursor: Position;
  /** Finished positions after the cursor, as text, in order. */
  readonly done: readonly string[];
}

/**
 * How far an endpoint has got: a low-water mark, and the finished events ahead of it. Events finish in any order; the
 * mark moves over the finished ones without a gap. Reading on from a saved state gives exactly the unfinished events.
 */
export interface Progress {
  /** Adds an event. Positions must grow. */
  admit(position: Position): Pending;
  /** Passes everything up to `position`, because it is unwanted or finished. */
  passOver(position: Position): void;
  /** Marks an event as finished. Safe to call twice. */
  finish(pending: Pending): void;
  /** Whether a saved state lists the event as finished. */
  isDone(position: Position): boolean;
  /** The position up to which events were admitted or passed over. */
  readonly readTo: Position;
  /**
   * Like `readTo`, or later where a saved state lists later events as finished. Every waiting event of a record was
   * passed up to here.
   */
  readonly finishedTo: Position;
  /** Number of tracked events after the mark, finished or not. */
  readonly aheadCount: number;
  state(): ProgressState;
}

export function createProgress(cursor: Position, done: readonly string[]): Progress {
  const doneBefore = new Set(done);
  let queue: Pending[] = [];
  let readTo = cursor;
  let lowWater = cursor;

  /** Moves the mark over the finished events at the head. */
  const settle = () => {
    let settled = 0;
    for (const entry of queue) {
      if (!entry.isFinished) break;
      lowWater = entry.coversTo;
      settled += 1;
    }
    if (settled > 0) queue = queue.slice(settled);
  };

  const isAhead = (text: string) => text > formatPosition(readTo);

  return {
    admit(position) {
      if (comparePositions(position, readTo) <= 0) {
        throw new RangeError(`position ${formatPosition(position)} was read before`);
      }
      const pending = { position, coversTo: position, isFinished: false };
      queue.push(pending);
      readTo = position;
      return pending;
    },
    passOver(position) {
      readTo = position;
      if (doneBefore.size > 0) {
        // What a saved state lists as finished stays listed until the mark has passed it.
        const text = formatPosition(position);
        if (doneBefore.delete(text)) {
          queue.push({ position, coversTo: position, isFinished: true });
          settle();
          return;
        }
      }
      const last = queue.at(-1);
      if (last === undefined) lowWater = position;
      else last.coversTo = position;
    },
    finish(pending) {
      if (pending.isFinished) return;
      pending.isFinished = true;
      if (pending === queue[0]) settle();
    },
    isDone: (position) => doneBefore.size > 0 && doneBefore.has(formatPosition(position)),
    get readTo() {
      return readTo;
    },
    get finishedTo() {
      let last = readTo;
      for (const text of doneBefore) {
        const position = parsePosition(text);
        if (position !== undefined && comparePositions(position, last) > 0) last = position;
      }
      return last;
    },
    get aheadCount() {
      return queue.length;
    },
    state() {
      const finished = queue
        .filter((entry) => entry.isFinished)
        .map((entry) => formatPosition(entry.position));
      const unread = [...doneBefore].filter(isAhead);
      return { cursor: lowWater, done: unread.length === 0 ? finished : [...finished, ...unread.sort()] };
    },
  };
}
