/** After this long without a renewal, by the database's clock, others take over. */
const LEASE_MS = 10_000;

/** Requests stop being started this long before that, whatever the two clocks' pace. */
const MARGIN_MS = 2_000;

const RENEW_AFTER_MS = 2_000;

/** This dispatcher's hold on its endpoints: one lease for all of them. */
export interface Lease {
  /** Whether a request may still be started under it. */
  isValid(): boolean;
  /** Renews when it is time. @returns whether it had run out meanwhile, so that others may have taken what we hold */
  renew(): Promise<boolean>;
  /** Gives it up, for the end. */
  end(): Promise<void>;
}

export interface LeaseDeps {
  readonly renew: (leaseMs: number) => Promise<void>;
  readonly remove: () => Promise<void>;
  /** Milliseconds of a clock that is never set. */
  readonly monotonicMs: () => number;
}

export function createLease({ renew, remove, monotonicMs }: LeaseDeps): Lease {
  let renewedAtMs = Number.NEGATIVE_INFINITY;
  let validUntilMs = Number.NEGATIVE_INFINITY;
  const isValid = () => monotonicMs() < validUntilMs;
  return {
    isValid,
    async renew() {
      const startedAtMs = monotonicMs();
      if (startedAtMs < renewedAtMs + RENEW_AFTER_MS) return false;
      const hadLapsed = !isValid();
      await renew(LEASE_MS);
      // Counted from before the request: the database may have begun the lease at any time since.
      renewedAtMs = startedAtMs;
      validUntilMs = startedAtMs + LEASE_MS - MARGIN_MS;
      return hadLapsed;
    },
    async end() {
      validUntilMs = Number.NEGATIVE_INFINITY;
      await remove();
    },
  };
}
