import { anySignal } from './any-signal.ts';

/**
 * Anything that runs until told to stop. `run` settles when its unit in hand is finished after the
 * signal aborts, and rejects when it can't go on; `ready` (if there) resolves once its loop is reached.
 */
export interface Worker {
  readonly name: string;
  readonly ready?: Promise<unknown>;
  run(signal: AbortSignal): Promise<void>;
}

/** Runs all workers until the signal aborts, or until the first failure, which stops the others and is thrown. */
export async function runUntilFirstFailure(workers: readonly Worker[], signal: AbortSignal): Promise<void> {
  const stop = new AbortController();
  using any = anySignal([signal, stop.signal]);
  const both = any.signal;
  const results = await Promise.allSettled(
    workers.map(async (worker) => {
      try {
        await worker.run(both);
        if (!both.aborted) throw new Error(`worker ${worker.name} ended by itself`);
      } catch (cause) {
        if (both.aborted && isAbortError(cause)) return;
        stop.abort();
        throw new Error(`worker ${worker.name} failed`, { cause });
      }
    }),
  );
  const failure = results.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}

export function isAbortError(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError');
}
