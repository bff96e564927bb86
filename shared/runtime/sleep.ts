import { setTimeout as delay } from 'node:timers/promises';

/** Resolves after `ms` milliseconds, or at once when the signal aborts; never rejects, so that a loop's own check ends it. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  await delay(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
}
