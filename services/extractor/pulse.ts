import { createDoorbell } from '../../shared/runtime/doorbell.ts';
import { LeaseLostError } from './extraction-errors.ts';
import { LEASE_SECONDS, RENEWAL_MS } from './store/lease.ts';

export interface Pulse {
  /** Beats now rather than at the next second. */
  ring(): void;
  /** Resolves when no beat is under way any more. Safe to call twice. */
  stop(): Promise<void>;
}

export interface PulseOptions {
  /** Renews the lease. Returns why the work is over, or undefined while it is still ours. */
  beat(): Promise<Error | undefined>;
  /** Called at most once. */
  onOver(reason: Error): void;
  /** A beat that failed and will be tried again. */
  onMiss(error: unknown): void;
  now?: () => number;
}

/**
 * Renews a lease every second. The store may be away for a while; but when nothing has come through for as long as the
 * lease lasts, others may have the work, and it is given up here at the same time.
 */
export function startPulse({ beat, onOver, onMiss, now = Date.now }: PulseOptions): Pulse {
  const bell = createDoorbell();
  const stopping = new AbortController();
  let renewedAtMs = now();

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await bell.wait(RENEWAL_MS, stopping.signal);
      if (stopping.signal.aborted) return;
      // The lease runs from when the store handles the renewal, which is later than this: never too long a claim.
      const askedAtMs = now();
      try {
        const over = await beat();
        if (over !== undefined) {
          onOver(over);
          return;
        }
        renewedAtMs = askedAtMs;
      } catch (error) {
        onMiss(error);
        if (now() - renewedAtMs >= LEASE_SECONDS * 1_000) {
          onOver(new LeaseLostError('the lease could not be renewed in time', { cause: error }));
          return;
        }
      }
    }
  }

  const running = run();
  return {
    ring: bell.ring,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
