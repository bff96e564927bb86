import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import type { AsideMessage } from '../aside/aside-message.ts';
import type { SetAside } from '../aside/set-asides.ts';

export interface SetAsideWatch {
  readonly asides: () => readonly SetAside[];
  /** @returns the fault of a resource; undefined when it is mended */
  readonly findUnmended: (aside: SetAside) => Promise<string | undefined>;
  readonly send: (message: AsideMessage) => Promise<void>;
  readonly resumes: ResumeHistory;
  readonly now: () => number;
  readonly log: Log;
}

/** When each resource resumed, and how often in a row it was set aside again; kept for the life of the process. */
export type ResumeHistory = Map<string, { atMs: number; count: number }>;

const CHECK_INTERVAL_MS = 2_000;
/** The message is repeated if it has not arrived by then: the feed may be behind. */
const SEND_AGAIN_MS = 60_000;
/** Each resume resets the resource for every account, so the delay grows while resumes do not last. */
const FIRST_REST_MS = 5_000;
const MAX_REST_MS = 10 * 60_000;
/** A resource that was healthy for this long starts at the first delay again. */
const FORGET_AFTER_MS = 60 * 60_000;
/** A reminder is an event for every account, so one serves all exports of this interval. */
const REMIND_INTERVAL_MS = 5 * 60_000;

/**
 * Checks until the signal aborts whether set-aside resources are mended, and writes a message to the WAL for each that
 * is. Once capture reads the message, the resource resumes from there. A failed check is retried.
 */
export async function watchSetAsides(watch: SetAsideWatch, signal: AbortSignal): Promise<void> {
  const sentAtMs = new Map<string, number>();
  const remindedAtMs = new Map<string, number>();
  while (!signal.aborted) {
    await sleep(CHECK_INTERVAL_MS, signal);
    for (const aside of watch.asides()) {
      if (signal.aborted) return;
      try {
        await check(aside, watch, sentAtMs, remindedAtMs);
      } catch (error) {
        if (!signal.aborted) watch.log.warn('resource.not_checked', { resource: aside.resource, error });
      }
    }
  }
}

async function check(
  aside: SetAside,
  { findUnmended, send, resumes, now }: SetAsideWatch,
  sentAtMs: Map<string, number>,
  remindedAtMs: Map<string, number>,
): Promise<void> {
  const { resource, isRemindDue } = aside;
  const place = `${resource}@${aside.commitLsn}/${aside.fromIndex}`;
  const nowMs = now();
  const lastResume = resumes.get(resource);
  const count = lastResume === undefined || nowMs - lastResume.atMs > FORGET_AFTER_MS ? 0 : lastResume.count;
  const restMs = count === 0 ? 0 : Math.min(FIRST_REST_MS * 2 ** (count - 1), MAX_REST_MS);
  const isResting = nowMs - (lastResume?.atMs ?? 0) < restMs;
  const isSent = nowMs - (sentAtMs.get(place) ?? Number.NEGATIVE_INFINITY) < SEND_AGAIN_MS;
  if (!isResting && !isSent && (await findUnmended(aside)) === undefined) {
    await send({ resource, news: 'resume' });
    sentAtMs.set(place, now());
    resumes.set(resource, { atMs: now(), count: count + 1 });
    return;
  }
  const remindedMs = remindedAtMs.get(resource) ?? Number.NEGATIVE_INFINITY;
  if (isRemindDue && nowMs - remindedMs >= REMIND_INTERVAL_MS) {
    await send({ resource, news: 'remind' });
    remindedAtMs.set(resource, now());
  }
}
