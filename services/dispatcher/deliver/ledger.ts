import type { ParkedDelivery, UnparkedDelivery } from '../../../shared/control/webhooks/save-progress.ts';
import { formatPosition } from '../../../shared/domain/position.ts';
import type { Delivery } from '../store/progress.ts';

/** What one save takes along. */
export interface LedgerPage {
  readonly parked: readonly ParkedDelivery[];
  readonly unparked: readonly UnparkedDelivery[];
  /** Called once the page is saved: each gives one place in the window back. */
  readonly releases: readonly (() => void)[];
}

/**
 * What became of an endpoint's deliveries and is not saved yet. Of what is said twice about one delivery the last
 * counts, so that a page never parks and unparks the same.
 */
export interface Ledger {
  /** Whether there is anything to save, also when it is only the cursor or the health. */
  readonly isDirty: boolean;
  touch(): void;
  /** A delivery is seen to; its place is given back by `release` once that is saved. */
  close(release: () => void): void;
  park(
    delivery: Delivery,
    state: ParkedDelivery['state'],
    nextAttemptAtMs: number | undefined,
    lastError: ParkedDelivery['lastError'],
  ): void;
  unpark(delivery: Delivery): void;
  /** Turns the page: what comes later is for the next save. */
  take(): LedgerPage;
}

export function createLedger(endpointId: string): Ledger {
  let releases: (() => void)[] = [];
  let parked = new Map<string, ParkedDelivery>();
  let unparked = new Map<string, UnparkedDelivery>();
  let isDirty = false;
  return {
    get isDirty() {
      return isDirty;
    },
    touch() {
      isDirty = true;
    },
    close(release) {
      releases.push(release);
      isDirty = true;
    },
    park(
      { position, committedAt, record, attemptCount, hasMore = false },
      state,
      nextAttemptAtMs,
      lastError,
    ) {
      const key = formatPosition(position);
      unparked.delete(key);
      parked.set(key, {
        endpointId,
        position,
        committedAt,
        record,
        attemptCount,
        nextAttemptAtMs,
        lastError,
        state,
        hasMore,
      });
      isDirty = true;
    },
    unpark({ position, nextAttemptAtMs }) {
      const key = formatPosition(position);
      parked.delete(key);
      unparked.set(key, { endpointId, position, nextAttemptAtMs });
      isDirty = true;
    },
    take() {
      const page = { parked: [...parked.values()], unparked: [...unparked.values()], releases };
      releases = [];
      parked = new Map();
      unparked = new Map();
      isDirty = false;
      return page;
    },
  };
}
