import { deliveryHeaders, deliveryTimestamp } from '../../../shared/protocol/webhook-message.ts';
import { sign } from '../../../shared/runtime/signing.ts';
import type { EndpointSettings } from '../endpoints/endpoint.ts';
import type { SendRequest } from '../send/send.ts';
import type { Attempt } from '../store/record-attempts.ts';

/** The owner's headers may not stand in for ours, whatever was let in when they were set. */
const OUR_HEADER = /^(webhook-|content-|host$|connection$|transfer-encoding$|expect$|user-agent$)/i;

/** The signed request of one attempt. The ID stays the event's; the timestamp is the attempt's own. */
export function toRequest(
  settings: Pick<EndpointSettings, 'url' | 'headers' | 'keys'>,
  id: string,
  payload: string,
  nowMs: number,
  signal: AbortSignal,
): SendRequest {
  const body = Buffer.from(payload, 'utf8');
  const timestamp = deliveryTimestamp(nowMs);
  const keys = settings.keys.filter(({ expiresAtMs }) => expiresAtMs > nowMs).map(({ key }) => key);
  const own = Object.entries(settings.headers).filter(([name]) => !OUR_HEADER.test(name));
  return {
    url: settings.url,
    headers: {
      ...Object.fromEntries(own),
      ...deliveryHeaders(id, timestamp, sign(keys, id, timestamp, body)),
    },
    body,
    signal,
  };
}

/**
 * What is kept of a request. The owner's own headers are sealed where they are stored, so only their names are kept. All
 * else follows from the events and the time.
 */
export function describeRequest({ headers }: SendRequest): NonNullable<Attempt['request']> {
  const ours = new Set(Object.keys(deliveryHeaders('', 0, '')));
  return {
    signature: headers['webhook-signature'] ?? '',
    ownHeaders: Object.keys(headers).filter((name) => !ours.has(name)),
  };
}

/** The events of a request, as they are noted with its outcome. */
export function describeEvents(
  ids: readonly [string, ...string[]],
  batchId: string | undefined,
): Pick<Attempt, 'eventId' | 'batch'> {
  return { eventId: ids[0], batch: batchId === undefined ? undefined : { id: batchId, eventIds: ids } };
}
