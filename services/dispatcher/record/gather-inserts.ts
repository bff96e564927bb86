import { createGather } from '../../../shared/runtime/gather.ts';
import { createFairReads } from '../store/fair-reads.ts';
import type { InsertedEvents, RecordedEvent } from './insert-events.ts';

export type InsertEvents = (events: readonly RecordedEvent[]) => Promise<InsertedEvents>;

/**
 * More events than these, or more text, have a statement of their own, so that few events never wait for many. Parts of a
 * dozen partitions together stay within what one statement takes.
 */
const MAX_GATHERED_EVENTS = 100;
const MAX_GATHERED_CHARACTERS = 300_000;

/** Statements of many events under way at once; the accounts take turns. */
const LARGE_AT_ONCE = 4;

/**
 * Few events of several partitions share a statement: while one is under way, those of other partitions gather for the
 * next. So the number of commits does not grow with the number of accounts. If the shared statement fails, each
 * partition's events are inserted alone.
 *
 * @param onUnsure something may have been recorded by a statement that failed, so that its repeat finds nothing new
 */
export function gatherInserts(insert: InsertEvents, onUnsure: () => void): InsertEvents {
  const large = createFairReads(LARGE_AT_ONCE);
  const gathered = createGather(async (parts: readonly (readonly RecordedEvent[])[]) => {
    if (parts.length === 1) return Promise.allSettled(parts.map(insert));
    try {
      const value = await insert(parts.flat());
      return parts.map(() => ({ status: 'fulfilled', value }) as const);
    } catch {
      // Events of one partition may be the reason, and must not keep out those of the others.
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
