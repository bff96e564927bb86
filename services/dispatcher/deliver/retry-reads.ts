import { formatPosition } from '../../../shared/domain/position.ts';
import type { Delivery } from '../store/progress.ts';

/**
 * Which rows of a read of retries are outdated when they come: while it was under way, a retry may have been delivered, given up or
 * scheduled for later, and that was saved. Taken up then, it would be delivered once more, behind later events of its record. A row
 * that was asked for again since the retry was begun is not outdated.
 */
export interface RetryReads {
  /** The retry is under way. */
  start(delivery: Delivery): void;
  /** Its outcome is saved. */
  end(delivery: Delivery): void;
  /** A read begins; at most one is under way. */
  begin(): void;
  finish(): void;
  isOutdated(row: Delivery): boolean;
}

export function createRetryReads(): RetryReads {
  /** By position, the retries under way, and those that ended since the read began. */
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
