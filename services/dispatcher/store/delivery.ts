import type { Position } from '../../../shared/domain/position.ts';
import type { Pending } from './progress.ts';

/** One event on its way to one endpoint. */
export interface Delivery {
  readonly position: Position;
  /** RFC 3339 with microseconds, as PostgreSQL gives it back: finds the event's partition. */
  readonly committedAt: string;
  /** Undefined for a parked one until its text is fetched. */
  type: string | undefined;
  readonly resource: string;
  /** `<resource>/<record key>`: no two requests at once hold deliveries of one lane. */
  readonly lane: string;
  /** The text to send; undefined until it is fetched, for large and for parked events. */
  payload: string | undefined;
  /** Length of the text that it was read with. */
  readonly inlineCharacters: number;
  /** Failed attempts so far. */
  attemptCount: number;
  /** When it was read, in epoch milliseconds: so long at most ago a batch that waits for more was begun. */
  readonly readAtMs: number;
  /** Its place in the endpoint's progress; undefined once it is parked, when the cursor has passed it. */
  pending: Pending | undefined;
  /** For a parked one, when it is tried next, in epoch milliseconds; 0 when it only waits for its predecessor. */
  nextAttemptAtMs: number;
  /** For a parked one: later events of its record are in the log only, and have to be read before it may go. */
  hasMore?: boolean;
  /** As it is parked now, when its owner asked for it again while it was under way. */
  askedAgain?: Delivery;
}
