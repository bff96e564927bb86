import { sleep } from '../../../shared/runtime/sleep.ts';

/** Whoever watches a job of slow items sees it move, and a limit of failures is noticed, about this often. */
const REPORT_MS = 1_000;

/**
 * Does the work and reports meanwhile, never two reports at once: one that was counted before another and saved after it
 * would make counts go down. A report that fails is left out, because the one at the end tells all.
 */
export async function whileReporting<T>(work: () => Promise<T>, report: () => Promise<unknown>): Promise<T> {
  const over = new AbortController();
  const loop = async () => {
    while (!over.signal.aborted) {
      await sleep(REPORT_MS, over.signal);
      if (!over.signal.aborted) await report().catch(() => undefined);
    }
  };
  const reporting = loop();
  try {
    return await work();
  } finally {
    over.abort();
    await reporting;
  }
}
