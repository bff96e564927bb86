/** The room for requests of one process, and who takes it. */
export interface RequestLimiter {
  /** Whether an endpoint of the account, with so many requests under way, may begin another. */
  mayBegin(accountId: string, endpointInFlight: number): boolean;
  note(accountId: string, change: 1 | -1): void;
}

/**
 * Shares the room by dynamic thresholds (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet
 * switches", 1998): an account may take as much as is left free. One by itself gets half of it, two get a third each, so that
 * however many slow endpoints an account has, there is room for the next account. And each endpoint may always have one
 * request under way, so that many accounts together can't stop another.
 */
export function createRequestLimiter(size: number): RequestLimiter {
  const taken = new Map<string, number>();
  let total = 0;
  return {
    mayBegin: (accountId, endpointInFlight) =>
      endpointInFlight === 0 || (taken.get(accountId) ?? 0) < size - total,
    note(accountId, change) {
      total += change;
      const count = (taken.get(accountId) ?? 0) + change;
      if (count === 0) taken.delete(accountId);
      else taken.set(accountId, count);
    },
  };
}
