import { sleep } from '../../shared/runtime/sleep.ts';
import { LEASE_SECONDS, RENEWAL_MS } from './store/lease.ts';

export interface Pulse extends AsyncDisposable {
  /** Aborts when the claim is lost, called off, or has not been renewed for as long as it lasts. */
  readonly signal: AbortSignal;
  /** Whether the claim certainly lasts, by this process's own clock. */
  isAlive(): boolean;
}

/** Renews a claim every second until it is disposed of. The store may be away for a while, but not longer than the claim lasts. */
export function startPulse(
  beat: () => Promise<boolean>,
  stopping: AbortSignal,
  now = performance.now.bind(performance),
): Pulse {
  const over = new AbortController();
  const stopped = new AbortController();
  let renewedAtMs = now();
  const isAlive = () => now() - renewedAtMs < LEASE_SECONDS * 1_000;
  const run = async () => {
    while (!stopped.signal.aborted && !over.signal.aborted) {
      await sleep(RENEWAL_MS, stopped.signal);
      if (stopped.signal.aborted) return;
      const askedAtMs = now();
      try {
        if (!(await beat())) over.abort();
        else renewedAtMs = askedAtMs;
      } catch {
        // An outage of the store shows in every other statement too; here only its length matters.
        if (!isAlive()) over.abort();
      }
    }
  };
  const running = run();
  return {
    signal: AbortSignal.any([over.signal, stopping]),
    isAlive,
    async [Symbol.asyncDispose]() {
      stopped.abort();
      await running;
    },
  };
}
