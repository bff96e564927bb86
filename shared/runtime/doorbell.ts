/**
 * A wake-up without a message: whoever rings says only "look again". Rings while nobody waits are kept as one,
 * so a ring between a look and a wait is never lost. One waiter at a time.
 */
export interface Doorbell {
  ring(): void;
  /** Resolves at the next ring, after `timeoutMs`, or when the signal aborts; never rejects. */
  wait(timeoutMs: number, signal?: AbortSignal): Promise<void>;
}

export function createDoorbell(): Doorbell {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      rung = true;
      wake?.();
    },
    async wait(timeoutMs, signal) {
      if (!rung && signal?.aborted !== true) {
        await new Promise<void>((resolve) => {
          const done = () => {
            clearTimeout(timer);
            signal?.removeEventListener('abort', done);
            resolve();
          };
          const timer = setTimeout(done, timeoutMs);
          signal?.addEventListener('abort', done, { once: true });
          wake = done;
        });
        wake = undefined;
      }
      rung = false;
    },
  };
}
