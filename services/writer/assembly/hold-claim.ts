import { LEASE_SECONDS, RENEWAL_MS } from '../store/lease.ts';

/** A claim that could not be renewed for this long may be another writer's by now; a second is left for clocks and pauses. */
const LOST_AFTER_MS = (LEASE_SECONDS - 1) * 1_000;

/** The claim is over: somebody else's, or its export is being cancelled or has ended. Whatever was done is not ours to finish. */
export class ClaimLostError extends Error {
  override readonly name = 'ClaimLostError';
}

/**
 * Runs work under a claim that is renewed meanwhile. The signal that the work gets aborts with `ClaimLostError` when a
 * renewal says that the claim is over, or none has succeeded for as long as it lasts; and with the outer signal.
 */
export async function holdClaim<T>(
  renew: () => Promise<boolean>,
  outer: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lost = new AbortController();
  let renewedAtMs = performance.now();
  const timer = setInterval(() => {
    const askedAtMs = performance.now();
    renew().then(
      (isHeld) => {
        if (isHeld) renewedAtMs = askedAtMs;
        else lost.abort(new ClaimLostError('the claim is over'));
      },
      (cause: unknown) => {
        if (performance.now() - renewedAtMs > LOST_AFTER_MS) {
          lost.abort(new ClaimLostError('the claim could not be renewed', { cause }));
        }
      },
    );
  }, RENEWAL_MS);
  try {
    return await work(AbortSignal.any([outer, lost.signal]));
  } finally {
    clearInterval(timer);
  }
}
