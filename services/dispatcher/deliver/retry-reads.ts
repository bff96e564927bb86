import { formatPosition } from '../../../shared/domain/position.ts';
import type { Delivery } from '../store/progress.ts';

/**
 * Detects outdated rows in a read of retries. During the read a retry may have been delivered, given up or rescheduled,
 * and saved. Its row from before would deliver it once more, behind later events of its record. A row is not outdated
 * if the owner asked for a replay after the retry started.
 */
export interface RetryReads {
  /** A retry starts. */
  start(delivery: Delivery): void;
  /** The outcome of a retry is saved. */
  end(delivery: Delivery): void;
  /** A read begins. At most one is under way. */
  begin(): void;
  finish(): void;
  isOutdated(row: Delivery): boolean;
}

export function createRetryReads(): RetryReads {
  /** Retries by position: those under way, and those that ended since the read began. */
  const begun = new Map<string, { readonly askedXid: string; isEnded: boolean }>();
  let isReading = false;
  return {
    start({ position, askedXid }) {
      begun.set(formatPosition(position), { askedXid, isEnded: false });
    },
    end({ position }) {
      const key = formatPosition(position);
      const known = begun.get(key);
      if (known === undefined) return;
      if (isReading) known.isEnded = true;
      else begun.delete(key);
    },
    begin() {
      isReading = true;
    },
    finish() {
      isReading = false;
      for (const [key, { isEnded }] of begun) if (isEnded) begun.delete(key);
    },
    isOutdated({ position, askedXid }) {
      const known = begun.get(formatPosition(position));
      return known?.isEnded === true && known.askedXid === askedXid;
    },
  };
}
