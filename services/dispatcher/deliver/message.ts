import type { Attempt } from '../store/record-attempts.ts';

/** The events of a request, as they are noted with its outcome. */
export function describeEvents(
  ids: readonly [string, ...string[]],
  batchId: string | undefined,
): Pick<Attempt, 'eventId' | 'batch'> {
  return { eventId: ids[0], batch: batchId === undefined ? undefined : { id: batchId, eventIds: ids } };
}
