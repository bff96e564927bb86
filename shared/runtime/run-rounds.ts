import { sleep } from './sleep.ts';

export interface Rounds {
  /** How long to rest after a round, in milliseconds. */
  readonly restMs: number;
  /** The same after a round that failed. By default `restMs`. */
  readonly retryMs?: number;
  /** A round that fails does not end the rounds. */
  readonly onFailed: (error: unknown) => void;
}

/** Runs rounds of the same work, with a rest after each, until the signal aborts. Never rejects. */
export async function runRounds(
  round: () => Promise<unknown>,
  { restMs, retryMs = restMs, onFailed }: Rounds,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    let waitMs = restMs;
    try {
      await round();
    } catch (error) {
      waitMs = retryMs;
      onFailed(error);
    }
    await sleep(waitMs, signal);
  }
}
