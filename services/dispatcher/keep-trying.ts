import { backoffMs } from '../../shared/runtime/backoff.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { sleep } from '../../shared/runtime/sleep.ts';

/** From here on a failure is no hiccup any more, and the log says so. */
const WARN_AFTER_TRIES = 2;
const ERROR_AFTER_TRIES = 8;

/** 100 ms, 200 ms, … 5 s. */
const BACKOFF = { initialMs: 100, maxMs: 5_000 };

/**
 * Repeats `work` until it succeeds: for work that must not be passed over, as when the control store is away.
 *
 * @throws what `work` threw last, once the signal has aborted; and whatever `between`, called before each repeat, throws
 */
export async function keepTrying<T>(
  what: string,
  work: () => Promise<T>,
  log: Log,
  signal: AbortSignal,
  between: () => Promise<void> = async () => undefined,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) throw error;
      const write = tries > ERROR_AFTER_TRIES ? log.error : tries > WARN_AFTER_TRIES ? log.warn : log.debug;
      write('work.retried', { what, tries, error });
      await sleep(backoffMs(tries - 1, BACKOFF), signal);
      if (signal.aborted) throw error;
      await between();
    }
  }
}
