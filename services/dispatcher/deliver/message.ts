import { createHash } from 'node:crypto';
import type { Attempt } from '../store/record-attempts.ts';

/** What one request says: its `webhook-id` and its body. */
export interface Message {
  readonly id: string;
  readonly body: string;
}

const BATCH_ID_CHARACTERS = 26;

/**
 * Events as a batch. Its ID is made of all their IDs: two batches with the same ID hold the same events, so that a
 * receiver which passes over an ID that it knows can never miss an event of a batch that was cut in another way.
 */
export function toBatch(events: readonly { readonly id: string; readonly text: string }[]): Message {
  const hash = createHash('sha256').update(events.map(({ id }) => id).join(' '));
  const id = `bat_${hash.digest('hex').slice(0, BATCH_ID_CHARACTERS)}`;
  return { id, body: `{"id":"${id}","type":"batch","events":[${events.map(({ text }) => text).join(',')}]}` };
}

/** The events of a request, as they are noted with its outcome. */
export function describeEvents(
  ids: readonly [string, ...string[]],
  batchId: string | undefined,
): Pick<Attempt, 'eventId' | 'batch'> {
  const [eventId] = ids;
  const batch = batchId === undefined ? undefined : { id: batchId, eventCount: ids.length };
  return { eventId, batch: batch && { ...batch, lastEventId: ids.at(-1) ?? eventId } };
}
