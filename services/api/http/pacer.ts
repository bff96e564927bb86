/**
 * Requests that may begin at once, beside the one that is due. They take the process a dozen milliseconds together, which others
 * wait for, and the rest of a larger burst waits some hundred.
 */
const BURST = 10;

/** Accounts whose turns are remembered before idle ones are forgotten. */
const MAX_ACCOUNTS = 10_000;

/** Takes the next turn of an account. @returns how many ms it is away, 0 when it is due */
export type Pacer = (accountId: string, nowMs: number) => number;

/**
 * Spaces the requests of each account evenly at a rate, beyond a burst. It refuses nothing: a limit of the account's open
 * requests bounds the wait. This is the generic cell rate algorithm: turns are one interval apart, and a burst of them may
 * be taken early.
 *
 * Requests that would wait longer than the limit begin faster than the rate. If all of these had one wait, a crowd that came
 * together would leave together and come back together. So a wait beyond half of the limit is drawn between that half and the turn.
 *
 * @param maxWaitMs the longest wait
 */
export function createPacer(
  perSecond: number,
  maxWaitMs: number = Number.POSITIVE_INFINITY,
  random: () => number = Math.random,
): Pacer {
  const intervalMs = 1_000 / perSecond;
  const burstMs = BURST * intervalMs;
  const nextMs = new Map<string, number>();
  return (accountId, nowMs) => {
    const earliestMs = nowMs - burstMs;
    if (nextMs.size >= MAX_ACCOUNTS) {
      for (const [idle, ms] of nextMs) if (ms <= earliestMs) nextMs.delete(idle);
    }
    const ownMs = Math.max(nextMs.get(accountId) ?? earliestMs, earliestMs);
    const turnMs = Math.min(ownMs, nowMs + maxWaitMs);
    nextMs.set(accountId, turnMs + intervalMs);
    const waitMs = Math.max(0, turnMs - nowMs);
    return waitMs - random() * Math.max(0, waitMs - maxWaitMs / 2);
  };
}
