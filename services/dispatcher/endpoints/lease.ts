import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';

/** Validity of a lease after a renewal, by the database's clock. Then other dispatchers may claim the endpoints. */
const LEASE_MS = 10_000;

/** Requests stop being started this long before the lease expires, to allow for clocks of different speed. */
const MARGIN_MS = 2_000;

const RENEW_AFTER_MS = 2_000;

/** Time limit of a renewal. After it the renewal is tried on another connection, while there is time left. */
export const RENEW_LIMIT_MS = 3_000;

/** Delay after a failed renewal. */
const RETRY_AFTER_MS = 500;

/** The lease of this dispatcher: one for all its endpoints. */
export interface Lease {
  /** Whether requests may be started under the lease. */
  isValid(): boolean;
  /**
   * Renews the lease until the signal aborts, independently of all other work. Calls `onLapse` when the lease becomes
   * valid after it had expired, and at the start: others may have claimed endpoints in between.
   */
  keep(onLapse: () => void, signal: AbortSignal): Promise<void>;
  /** Ends the lease, for shutdown. */
  end(): Promise<void>;
}

export interface LeaseDeps {
  readonly renew: (leaseMs: number) => Promise<void>;
  readonly remove: () => Promise<void>;
  /** Milliseconds of a monotonic clock. */
  readonly monotonicMs: () => number;
  readonly log: Log;
}

export function createLease({ renew, remove, monotonicMs, log }: LeaseDeps): Lease {
  let validUntilMs = Number.NEGATIVE_INFINITY;
  const isValid = () => monotonicMs() < validUntilMs;
  return {
    isValid,
    async keep(onLapse, signal) {
      while (!signal.aborted) {
        const startedAtMs = monotonicMs();
        let waitMs = RENEW_AFTER_MS;
        try {
          await renew(LEASE_MS);
          const hadLapsed = !isValid();
          // Measured from before the query: the database may have started the lease at any time since then.
          validUntilMs = startedAtMs + LEASE_MS - MARGIN_MS;
          if (hadLapsed) onLapse();
        } catch (error) {
          log.warn('lease.not_renewed', { error });
          waitMs = RETRY_AFTER_MS;
        }
        await sleep(waitMs, signal);
      }
    },
    async end() {
      validUntilMs = Number.NEGATIVE_INFINITY;
      await remove();
    },
  };
}
