/** Gives a place back; safe to call twice. */
export type Leave = () => void;

/** Gives places to work that holds on to something scarce, so many at once and of one account. */
export interface Places {
  /** @returns undefined when there is none */
  take(accountId: string): Leave | undefined;
  /** As `take`, but waits for a place for a while, first come, first served. @returns whose places are taken, when none came free */
  takeSoon(accountId: string, waitMs: number): Promise<Leave | 'account' | 'all'>;
}

interface Waiter {
  readonly accountId: string;
  resolve(leave: Leave | undefined): void;
}

export function createPlaces({ max, perAccount }: { max: number; perAccount: number }): Places {
  const taken = new Map<string, number>();
  const waiting = new Set<Waiter>();
  let sum = 0;
  const takenBy = (accountId: string) => taken.get(accountId) ?? 0;

  function take(accountId: string): Leave | undefined {
    if (sum >= max || takenBy(accountId) >= perAccount) return undefined;
    sum += 1;
    taken.set(accountId, takenBy(accountId) + 1);
    let isGiven = false;
    return () => {
      if (isGiven) return;
      isGiven = true;
      sum -= 1;
      const left = takenBy(accountId) - 1;
      if (left === 0) taken.delete(accountId);
      else taken.set(accountId, left);
      serve();
    };
  }

  function serve(): void {
    for (const waiter of waiting) {
      const leave = take(waiter.accountId);
      if (leave === undefined) continue;
      waiting.delete(waiter);
      waiter.resolve(leave);
    }
  }

  return {
    take,
    async takeSoon(accountId, waitMs) {
      const free = take(accountId);
      if (free !== undefined) return free;
      const { promise, resolve } = Promise.withResolvers<Leave | undefined>();
      const waiter: Waiter = { accountId, resolve };
      waiting.add(waiter);
      const timer = setTimeout(() => {
        // Together with its answer, or a place could be given to somebody who has gone.
        waiting.delete(waiter);
        resolve(undefined);
      }, waitMs);
      const leave = await promise;
      clearTimeout(timer);
      return leave ?? (takenBy(accountId) >= perAccount ? 'account' : 'all');
    },
  };
}
