import {
  comparePositions,
  formatPosition,
  type Position,
  parsePosition,
} from '../../../shared/domain/position.ts';

/** An event that was taken up and is not yet seen to the end. */
export interface Pending {
  readonly position: Position;
  /** What the cursor may move to once this and everything before is finished; grows over skipped events. */
  coversTo: Position;
  isFinished: boolean;
}

/** Nobody has asked for the delivery again. */
export const NEVER_ASKED = '0';

/** One event on its way to one endpoint. */
export interface Delivery {
  readonly position: Position;
  /** RFC 3339 with microseconds, as PostgreSQL gives it back: finds the event's partition. */
  readonly committedAt: string;
  /** Undefined for a retry until its text is fetched. */
  type: string | undefined;
  readonly resource: string;
  /** `<resource>/<record key>`: no two requests at once hold deliveries of one record. */
  readonly record: string;
  /** The text to send; undefined until it is fetched, for large events and for retries. */
  payload: string | undefined;
  /** Of the span that recorded it, when it is traced; for a retry, once its text is fetched. */
  traceparent?: string | undefined;
  /** Length of the text that it was read with. */
  readonly inlineCharacters: number;
  /** Failed attempts so far. */
  attemptCount: number;
  /** When it was read, in epoch milliseconds: so long at most ago a batch that waits for more was begun. */
  readonly readAtMs: number;
  /** Its place in the endpoint's progress; undefined once it is a retry, when the cursor has passed it. */
  pending: Pending | undefined;
  /** For a retry, when it is tried next, in epoch milliseconds; 0 when it only waits for its predecessor. */
  nextAttemptAtMs: number;
  /** For a retry, the transaction that asked for it again last, as it was read. */
  askedXid: string;
  /** For a retry: later events of its record are in the log only, and have to be read before it may go. */
  hasMore?: boolean;
  /** As it is scheduled now, when its owner asked for it again while it was under way. */
  askedAgain?: Delivery;
}

export interface ProgressState {
  readonly cursor: Position;
  /** Positions after the cursor that are finished, in the text form of positions, in order. */
  readonly done: readonly string[];
}

/**
 * How far an endpoint has come: a low-water mark, and what is finished ahead of it. Events finish in any order, the
 * mark moves over the finished ones without a gap. From a saved state, reading on gives exactly the unfinished events.
 */
export interface Progress {
  /** Takes up an event; positions must grow. */
  admit(position: Position): Pending;
  /** Passes over everything up to `position`, which is not wanted or was finished before. */
  skip(position: Position): void;
  /** Safe to call twice. */
  finish(pending: Pending): void;
  /** Whether a saved state already says that the event is finished. */
  isDone(position: Position): boolean;
  /** Up to where events were admitted or skipped. */
  readonly readTo: Position;
  /** Like `readTo`, or beyond it where a saved state calls later events finished: every event of a record that waits was passed up to here. */
  readonly finishedTo: Position;
  /** Events after the mark that are kept account of, finished or not. */
  readonly aheadCount: number;
  state(): ProgressState;
}

export function createProgress(cursor: Position, done: readonly string[]): Progress {
  const doneBefore = new Set(done);
  let queue: Pending[] = [];
  let readTo = cursor;
  let lowWater = cursor;

  /** Finished entries at the head give their place to the mark. */
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
    skip(position) {
      readTo = position;
      if (doneBefore.size > 0) {
        // What a saved state called finished stays said until the mark has passed it.
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
