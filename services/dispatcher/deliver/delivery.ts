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
  /** `<resource>/<record key>`: deliveries of one lane are made one after the other. */
  readonly lane: string;
  /** The text to send; undefined until it is fetched, for large and for parked events. */
  payload: string | undefined;
  /** Failed attempts so far. */
  attemptCount: number;
  /** Times it was given back unparked because the endpoint asked for less. */
  returnCount: number;
  /** Its place in the endpoint's progress; undefined once it is parked, when the cursor has passed it. */
  pending: Pending | undefined;
  /** For a parked one, when it is tried next, in epoch milliseconds; 0 when it only waits for its predecessor. */
  nextAttemptAtMs: number;
}
