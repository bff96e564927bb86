import type { Lsn } from '../../../shared/domain/lsn.ts';

/**
 * Which LSN may be confirmed to the slot.
 *
 * **Invariant:** `flushed` is never past what a committed Kafka transaction says is in the topic. The server forgets
 * everything before it, so it is the one number that can lose data. Both numbers only grow: the protocol lets a
 * client go back, and the server would take it for a promise broken.
 */
export interface Acker {
  /** The server has sent everything before this. */
  received(lsn: Lsn): void;
  /** A committed Kafka transaction has recorded this as passed. */
  durable(lsn: Lsn): void;
  status(): { readonly written: Lsn; readonly flushed: Lsn };
}

export function createAcker(): Acker {
  let written = 0n;
  let flushed = 0n;
  return {
    received(lsn) {
      if (lsn > written) written = lsn;
    },
    durable(lsn) {
      if (lsn > flushed) flushed = lsn;
    },
    status: () => ({ written: written > flushed ? written : flushed, flushed }),
  };
}
