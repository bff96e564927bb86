import { createHash } from 'node:crypto';

/** The contents of one request to a webhook endpoint: its `webhook-id` and its body. */
export interface Message {
  readonly id: string;
  readonly body: string;
}

const BATCH_ID_CHARACTERS = 26;

/**
 * The ID of a batch is made of the IDs of its events: two batches with the same ID hold the same events, so that a
 * receiver which skips a known ID never misses an event of a batch that was cut in another way.
 */
function batchId(eventIds: readonly string[]): string {
  const hash = createHash('sha256').update(eventIds.join(' '));
  return `bat_${hash.digest('hex').slice(0, BATCH_ID_CHARACTERS)}`;
}

/** Events as a batch, in the given order. `text` is an event's recorded payload. */
export function toBatch(events: readonly { readonly id: string; readonly text: string }[]): Message {
  const id = batchId(events.map((event) => event.id));
  return { id, body: `{"id":"${id}","type":"batch","events":[${events.map(({ text }) => text).join(',')}]}` };
}

const USER_AGENT = 'Tandem-Webhooks/1.0';

/** The headers that every delivery has. `timestamp`: seconds since 1970. */
export function deliveryHeaders(id: string, timestamp: number, signature: string): Record<string, string> {
  return {
    'user-agent': USER_AGENT,
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signature,
  };
}

/** The timestamp of a delivery that starts at this time in epoch milliseconds. */
export function deliveryTimestamp(startedAtMs: number): number {
  return Math.floor(startedAtMs / 1_000);
}
