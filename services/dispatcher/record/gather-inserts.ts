import { createGather } from '../../../shared/runtime/gather.ts';
import { createFairReads } from '../store/fair-reads.ts';
import type { InsertedEvents, RecordedEvent } from './insert-events.ts';

export type InsertEvents = (events: readonly RecordedEvent[]) => Promise<InsertedEvents>;

/**
 * Inserts above this many events, or this much text, get a statement of their own, so that small ones don't wait for
 * large ones. A dozen gathered inserts stay within the limits of one statement.
 */
const MAX_GATHERED_EVENTS = 100;
const MAX_GATHERED_CHARACTERS = 300_000;

/** Limit of concurrent large statements. Accounts take turns. */
const LARGE_AT_ONCE = 4;

/**
 * Small inserts of several partitions share a statement: those that arrive during one gather for the next. So the
 * number of commits does not grow with the number of accounts. If the shared statement fails, each partition's events
 * are inserted separately.
 *
 * @param onUnsure called when a failed statement may have been committed, so that its repeat inserts nothing new
 */
export function gatherInserts(insert: InsertEvents, onUnsure: () => void): InsertEvents {
  const large = createFairReads(LARGE_AT_ONCE);
  const gathered = createGather(async (parts: readonly (readonly RecordedEvent[])[]) => {
    if (parts.length === 1) return Promise.allSettled(parts.map(insert));
    try {
      const value = await insert(parts.flat());
      return parts.map(() => ({ status: 'fulfilled', value }) as const);
    } catch {
      // The events of one partition may be the cause, and must not block the others.
      const alone = await Promise.allSettled(parts.map(insert));
      onUnsure();
      return alone;
    }
  });
  return async (events) => {
    const [first] = events;
    if (first !== undefined && isLarge(events)) {
      return large.run(first.account, () => insert(events));
    }
    const outcome = await gathered(events);
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  };
}

function isLarge(events: readonly RecordedEvent[]): boolean {
  if (events.length > MAX_GATHERED_EVENTS) return true;
  const characters = events.reduce((sum, each) => sum + each.payloadHead.length + each.payloadTail.length, 0);
  return characters > MAX_GATHERED_CHARACTERS;
}
