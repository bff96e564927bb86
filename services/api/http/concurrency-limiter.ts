import type { AppError } from '../../../shared/runtime/errors.ts';

/** Ends a piece of work that was let in; safe to call twice. */
export type Release = () => void;

export interface ConcurrencyLimits {
  /** For all accounts together. Default: unlimited. */
  readonly max?: number;
  readonly perAccount: number;
  /** How long work waits for other work to end. Default: it does not wait. */
  readonly waitMs?: number;
}

/** Limits how much work runs at once in this process, because each piece holds something scarce. */
export interface ConcurrencyLimiter {
  /**
   * Lets work of an account in. Work that waits is served in its order, as far as its account's limit allows.
   *
   * @throws the limiter's refusal
   */
  acquire(accountId: string): Promise<Release>;
  /** Whether the account's own limit is reached. */
  isFull(accountId: string): boolean;
}

interface Waiter {
  readonly accountId: string;
  resolve(release: Release | undefined): void;
}

/** @param refusal makes the error; `isOwn` says that the account's own work is at its limit, not that of all accounts */
export function createConcurrencyLimiter(
  { max = Number.POSITIVE_INFINITY, perAccount, waitMs = 0 }: ConcurrencyLimits,
  refusal: (isOwn: boolean) => AppError,
): ConcurrencyLimiter {
  const running = new Map<string, number>();
  const waiting = new Set<Waiter>();
  let total = 0;
  const runningOf = (accountId: string) => running.get(accountId) ?? 0;
  const isFull = (accountId: string) => runningOf(accountId) >= perAccount;

  function tryAcquire(accountId: string): Release | undefined {
    if (total >= max || isFull(accountId)) return undefined;
    total += 1;
    running.set(accountId, runningOf(accountId) + 1);
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      total -= 1;
      const left = runningOf(accountId) - 1;
      if (left === 0) running.delete(accountId);
      else running.set(accountId, left);
      serveWaiting();
    };
  }

  function serveWaiting(): void {
    for (const waiter of waiting) {
      const release = tryAcquire(waiter.accountId);
      if (release === undefined) continue;
      waiting.delete(waiter);
      waiter.resolve(release);
    }
  }

  async function waitFor(accountId: string): Promise<Release | undefined> {
    if (waitMs === 0) return undefined;
    const { promise, resolve } = Promise.withResolvers<Release | undefined>();
    const waiter: Waiter = { accountId, resolve };
    waiting.add(waiter);
    const timer = setTimeout(() => {
      // In one step with the refusal, so that nothing is acquired for work that no longer waits.
      waiting.delete(waiter);
      resolve(undefined);
    }, waitMs);
    const release = await promise;
    clearTimeout(timer);
    return release;
  }

  return {
    isFull,
    async acquire(accountId) {
      const release = tryAcquire(accountId) ?? (await waitFor(accountId));
      if (release === undefined) throw refusal(isFull(accountId));
      return release;
    },
  };
}
