import type { ChangeOp } from '../../../shared/domain/change.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';

/** An event as it goes into the log. Which account it belongs to is found by the statement that inserts it. */
export interface RecordedEvent {
  readonly commitLsn: Lsn;
  readonly index: number;
  readonly xid: bigint;
  /** `source_id` of the account. */
  readonly account: string;
  readonly type: string;
  /** What was done to the row; `type` does not tell a deletion from a soft-deletion. */
  readonly op: ChangeOp;
  /** Columns whose `null` in the payload is a JSON null and not SQL NULL: `{"data":[…],"previous":[…]}`. */
  readonly jsonNulls: string;
  readonly resource: string;
  readonly recordKey: string;
  /** RFC 3339 in UTC with microseconds. */
  readonly committedAt: string;
  /** The payload's text before and after the account's ID, which only the insert knows. */
  readonly payloadHead: string;
  readonly payloadTail: string;
}
