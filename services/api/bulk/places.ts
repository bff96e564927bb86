/** Gives places to work that holds on to something scarce, so many at once and of one account. */
export interface Places {
  /** @returns undefined when there is none; otherwise what gives it back, which is safe to call twice */
  take(accountId: string): (() => void) | undefined;
}

export function createPlaces({ max, perAccount }: { max: number; perAccount: number }): Places {
  const taken = new Map<string, number>();
  let sum = 0;
  return {
    take(accountId) {
      const own = taken.get(accountId) ?? 0;
      if (sum >= max || own >= perAccount) return undefined;
      sum += 1;
      taken.set(accountId, own + 1);
      let isGiven = false;
      return () => {
        if (isGiven) return;
        isGiven = true;
        sum -= 1;
        const left = (taken.get(accountId) ?? 1) - 1;
        if (left === 0) taken.delete(accountId);
        else taken.set(accountId, left);
      };
    },
  };
}
