import { anySignal } from './any-signal.ts';
import { createNotifier } from './notifier.ts';

/** What a renewal found: the work goes on, is to end in order, or is over for the reason given. */
export type Renewal = 'held' | 'called_off' | Error;

/** The lease is another worker's by now, or may be. Whatever was done under it is not this worker's to finish. */
export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError';
}

export interface LeaseRenewerOptions {
  /** How long the lease lasts without renewal, by the control store's clock. */
  readonly leaseSeconds: number;
  /** Renews the lease in the control store. It rejects while the store is away. */
  readonly renew: () => Promise<Renewal>;
  /** A renewal that failed; the next one follows. */
  readonly onMissed?: (error: unknown) => void;
  /** The process is to stop. */
  readonly stopping?: AbortSignal;
}

export interface LeaseRenewer extends AsyncDisposable {
  /** Aborts when nothing new is to be begun: the work is called off, or `lost` aborts. */
  readonly signal: AbortSignal;
  /** Aborts when the lease is over or may be another's, with an Error as the reason, and when the process is to stop. */
  readonly lost: AbortSignal;
  /** Whether the lease certainly lasts, by this process's own clock. */
  isHeld(): boolean;
  /** Renews at once, because something about the work has changed in the store. */
  renewNow(): void;
}

/** Also bounds how long work goes on after it was cancelled. */
const RENEW_EVERY_MS = 1_000;

/** Work ends this long before another worker may begin, for pauses of the process and clocks that run at another pace. */
const MARGIN_MS = 1_000;

/**
 * Renews a lease every second until it is disposed of, also one whose work is called off. The store may be away for a
 * while, but no longer than the lease lasts: then the work ends here, because it may begin elsewhere.
 */
export function renewLease({ leaseSeconds, renew, onMissed, stopping }: LeaseRenewerOptions): LeaseRenewer {
  const calledOff = new AbortController();
  const over = new AbortController();
  const disposed = new AbortController();
  const notifier = createNotifier();
  const lastsMs = leaseSeconds * 1_000 - MARGIN_MS;
  let renewedAtMs = performance.now();
  let lastFailure: unknown;
  let expiry: NodeJS.Timeout | undefined;
  // Also when a renewal neither succeeds nor fails, as on a connection that went silent.
  const awaitExpiry = () => {
    clearTimeout(expiry);
    const leftMs = Math.max(0, renewedAtMs + lastsMs - performance.now());
    expiry = setTimeout(() => {
      over.abort(new LeaseLostError('the lease could not be renewed in time', { cause: lastFailure }));
    }, leftMs);
  };
  const run = async () => {
    while (!disposed.signal.aborted && !over.signal.aborted) {
      await notifier.wait(RENEW_EVERY_MS, disposed.signal);
      if (disposed.signal.aborted) return;
      // The lease runs from when the store handles the renewal, which is later than this: never too long a claim.
      const askedAtMs = performance.now();
      try {
        const found = await renew();
        if (found instanceof Error) {
          over.abort(found);
          return;
        }
        if (found === 'called_off') calledOff.abort();
        renewedAtMs = askedAtMs;
        lastFailure = undefined;
        awaitExpiry();
      } catch (error) {
        lastFailure = error;
        onMissed?.(error);
      }
    }
  };
  awaitExpiry();
  const running = run();
  const anyEnd = anySignal([calledOff.signal, over.signal, stopping]);
  const lost = anySignal([over.signal, stopping]);
  return {
    signal: anyEnd.signal,
    lost: lost.signal,
    isHeld: () => !over.signal.aborted && performance.now() - renewedAtMs < lastsMs,
    renewNow: notifier.notify,
    async [Symbol.asyncDispose]() {
      disposed.abort();
      // A renewal that is under way must not outlive the lease that the caller ends next. It is waited for until the lease
      // is over anyway, since on a connection that went silent it may never answer.
      await Promise.race([running, untilAborted(over.signal)]);
      clearTimeout(expiry);
      anyEnd[Symbol.dispose]();
      lost[Symbol.dispose]();
    },
  };
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
