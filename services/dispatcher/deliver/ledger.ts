import type { EndedRetry, ScheduledRetry } from '../../../shared/control/webhooks/save-progress.ts';
import { formatPosition } from '../../../shared/domain/position.ts';
import type { Delivery } from '../store/progress.ts';

/** The content of one save. */
export interface LedgerPage {
  readonly retries: readonly ScheduledRetry[];
  readonly endedRetries: readonly EndedRetry[];
  /** Called once the page is saved. Each call lets the queues of one batch continue. */
  readonly releases: readonly (() => void)[];
}

/**
 * Outcomes of an endpoint's deliveries that are not saved yet. Of two outcomes of one delivery the later counts, so
 * that a page never both schedules and ends the same retry.
 */
export interface Ledger {
  /** Whether there is anything to save, including a moved cursor or changed health. */
  readonly isDirty: boolean;
  touch(): void;
  /** Adds a finished batch; `release` is called once it is saved. */
  close(release: () => void): void;
  scheduleRetry(
    delivery: Delivery,
    state: ScheduledRetry['state'],
    nextAttemptAtMs: number | undefined,
    lastError: ScheduledRetry['lastError'],
  ): void;
  endRetry(delivery: Delivery): void;
  /** Returns what has gathered and starts an empty page for the next save. */
  take(): LedgerPage;
}

export function createLedger(endpointId: string): Ledger {
  let releases: (() => void)[] = [];
  let retries = new Map<string, ScheduledRetry>();
  let endedRetries = new Map<string, EndedRetry>();
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
    scheduleRetry(
      { position, committedAt, record, attemptCount, askedXid, hasMore = false },
      state,
      nextAttemptAtMs,
      lastError,
    ) {
      const key = formatPosition(position);
      endedRetries.delete(key);
      retries.set(key, {
        endpointId,
        position,
        committedAt,
        record,
        attemptCount,
        nextAttemptAtMs,
        askedXid,
        lastError,
        state,
        hasMore,
      });
      isDirty = true;
    },
    endRetry({ position, askedXid }) {
      const key = formatPosition(position);
      retries.delete(key);
      endedRetries.set(key, { endpointId, position, askedXid });
      isDirty = true;
    },
    take() {
      const page = { retries: [...retries.values()], endedRetries: [...endedRetries.values()], releases };
      releases = [];
      retries = new Map();
      endedRetries = new Map();
      isDirty = false;
      return page;
    },
  };
}
