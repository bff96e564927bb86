import { sleep } from '../../shared/runtime/sleep.ts';
import { LEASE_SECONDS, RENEWAL_MS } from './store/lease.ts';

/** What a renewal found: the work goes on, is to come to an end in order, or is no longer ours. */
export type Standing = 'held' | 'called_off' | 'lost';

export interface Pulse extends AsyncDisposable {
  /** Aborts when nothing new is to be begun: the work is called off, or `lost` aborts. */
  readonly signal: AbortSignal;
  /** Aborts when the claim is lost, has not been renewed for as long as it lasts, or the process is to stop. */
  readonly lost: AbortSignal;
  /** Whether the claim certainly lasts, by this process's own clock. */
  isAlive(): boolean;
}

/** Renews a claim every second until it is disposed of, also one that is called off. The store may be away for a while, but not longer than the claim lasts. */
export function startPulse(
  beat: () => Promise<Standing>,
  stopping: AbortSignal,
  now = performance.now.bind(performance),
): Pulse {
  const calledOff = new AbortController();
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
        const standing = await beat();
        if (standing === 'lost') over.abort();
        else renewedAtMs = askedAtMs;
        if (standing === 'called_off') calledOff.abort();
      } catch {
        // An outage of the store shows in every other statement too; here only its length matters.
        if (!isAlive()) over.abort();
      }
    }
  };
  const running = run();
  return {
    signal: AbortSignal.any([calledOff.signal, over.signal, stopping]),
    lost: AbortSignal.any([over.signal, stopping]),
    isAlive,
    async [Symbol.asyncDispose]() {
      stopped.abort();
      await running;
    },
  };
}
