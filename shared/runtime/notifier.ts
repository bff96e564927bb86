/**
 * A wake-up without a message: it says only "look again". Notifications while nobody waits are kept as one, so one
 * between a look and a wait is never lost. One waiter at a time: loops that look for the same work have one each.
 */
export interface Notifier {
  notify(): void;
  /** Resolves at the next notification, after `timeoutMs`, or when the signal aborts. @throws for a second waiter, which is a bug */
  wait(timeoutMs: number, signal?: AbortSignal): Promise<void>;
}

export function createNotifier(): Notifier {
  let isNotified = false;
  let wake: (() => void) | undefined;
  return {
    notify() {
      isNotified = true;
      wake?.();
    },
    async wait(timeoutMs, signal) {
      if (wake !== undefined) throw new Error('a notifier has one waiter at a time');
      if (!isNotified && signal?.aborted !== true) {
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
      isNotified = false;
    },
  };
}
