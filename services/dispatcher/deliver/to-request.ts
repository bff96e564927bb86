import { sign } from '../../../shared/runtime/signature.ts';
import type { EndpointSettings } from '../endpoints/endpoint.ts';
import type { SendRequest } from '../send/send.ts';

const USER_AGENT = 'Tandem-Webhooks/1.0';

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
  const timestamp = Math.floor(nowMs / 1_000);
  const keys = settings.keys.filter(({ expiresAtMs }) => expiresAtMs > nowMs).map(({ key }) => key);
  const own = Object.entries(settings.headers).filter(([name]) => !OUR_HEADER.test(name));
  return {
    url: settings.url,
    headers: {
      ...Object.fromEntries(own),
      'user-agent': USER_AGENT,
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': sign(keys, id, timestamp, body),
    },
    body,
    signal,
  };
}
