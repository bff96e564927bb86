import type { Position } from '../../../shared/domain/position.ts';
import type { LoggedEvent } from '../store/read-events.ts';

/** Events of one account that are in the log, in order and without a gap between them. */
export interface EventRun {
  readonly accountId: string;
  /** Between this position and the first of the events the account has no others; undefined when that is not known. */
  readonly after: Position | undefined;
  readonly events: readonly LoggedEvent[];
}
