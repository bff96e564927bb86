import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';

/** After this long without a renewal, by the database's clock, others take over. */
const LEASE_MS = 10_000;

/** Requests stop being started this long before that, whatever the two clocks' pace. */
const MARGIN_MS = 2_000;

const RENEW_AFTER_MS = 2_000;

/** One that gets no answer for so long is tried again, on another connection, while there is time for it. */
export const RENEW_LIMIT_MS = 3_000;

/** After a renewal that failed. */
const RETRY_AFTER_MS = 500;

/** This dispatcher's hold on its endpoints: one lease for all of them. */
export interface Lease {
  /** Whether a request may still be started under it. */
  isValid(): boolean;
  /**
   * Renews it whenever it is time, whatever else goes on, until the signal aborts. `onLapse` is called once it is valid again after it
   * had run out, as at the start, so that others may have taken what we hold.
   */
  keep(onLapse: () => void, signal: AbortSignal): Promise<void>;
  /** Gives it up, for the end. */
  end(): Promise<void>;
}

export interface LeaseDeps {
  readonly renew: (leaseMs: number) => Promise<void>;
  readonly remove: () => Promise<void>;
  /** Milliseconds of a clock that is never set. */
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
          // Counted from before the request: the database may have begun the lease at any time since.
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
