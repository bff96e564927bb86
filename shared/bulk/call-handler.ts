import { createHash, type KeyObject } from 'node:crypto';
import { type Dispatcher, request } from 'undici';
import { retryAfterMs } from '../domain/retry-after.ts';
import { anySignal } from '../runtime/any-signal.ts';
import { sign } from '../runtime/signing.ts';

export interface HandlerCall {
  readonly url: string;
  /** Of one try. */
  readonly timeoutMs: number;
  /** The same for every try of an item, in this process or another, so that the handler can tell. */
  readonly idempotencyKey: string;
  readonly body: unknown;
  /** Keys that the request is signed with, as a webhook is; none: it is not. */
  readonly signingKeys: readonly KeyObject[];
}

/** Why an item failed. */
export interface HandlerFault {
  readonly code: string;
  readonly message: string;
  /** The fault is the handler's as a whole: it can't be reached, or says that it is not there now. */
  readonly isAway?: boolean;
  /** The rest that the handler asks for. */
  readonly retryAfterMs?: number | undefined;
}

/** What came of one try. */
export type HandlerAnswer =
  | { readonly status: 'succeeded' }
  /** Final: another try would not change it. */
  | { readonly status: 'failed'; readonly fault: HandlerFault; readonly isFinal: boolean }
  /** Called off before there was an answer. */
  | { readonly status: 'stopped' };

/** The code of an item whose handler did not answer in time: it may have done it. */
export const HANDLER_TIMEOUT = 'handler_timeout';

/** Before the second, third and fourth try. */
const RETRY_DELAYS_MS = [200, 800, 2_000];

/** Of an answer; the rest is not read. */
const MAX_ANSWER_BYTES = 16_384;
const MAX_REASON_CHARACTERS = 500;

/** Answers of a handler, or of a gateway before it, that say "later"; every other 4xx is its last word. */
const LATER: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** A handler may ask for a rest of at most this long. */
const MAX_REST_MS = 5 * 60 * 1_000;

/** The least time before the next try of an item; undefined when it has had its last. */
export function retryDelayMs(attempt: number): number | undefined {
  return RETRY_DELAYS_MS[attempt - 1];
}

/** Asks the handler for one item, once. `fetch` would take three times as much CPU. */
export async function callHandler(
  { url, timeoutMs, idempotencyKey, body, signingKeys }: HandlerCall,
  signal: AbortSignal,
): Promise<HandlerAnswer> {
  const bytes = Buffer.from(JSON.stringify(body));
  const overdue = new AbortController();
  const timer = setTimeout(() => overdue.abort(), timeoutMs);
  using limited = anySignal([signal, overdue.signal]);
  try {
    const {
      statusCode,
      headers,
      body: answer,
    } = await request(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'idempotency-key': idempotencyKey,
        ...signatureOf(signingKeys, idempotencyKey, bytes),
      },
      body: bytes,
      signal: limited.signal,
    });
    const text = await readStart(answer);
    if (statusCode >= 200 && statusCode < 300) return { status: 'succeeded' };
    const message = reasonOf(text) ?? `The handler returned status ${statusCode}.`;
    if (statusCode >= 500 || LATER.has(statusCode)) {
      const restMs = retryAfterMs([headers['retry-after']].flat()[0], Date.now());
      const fault: HandlerFault = {
        code: 'handler_unavailable',
        message,
        isAway: LATER.has(statusCode),
        retryAfterMs: restMs === undefined ? undefined : Math.min(restMs, MAX_REST_MS),
      };
      return { status: 'failed', fault, isFinal: false };
    }
    return { status: 'failed', fault: { code: 'handler_refused', message }, isFinal: true };
  } catch {
    if (signal.aborted) return { status: 'stopped' };
    const fault = overdue.signal.aborted
      ? { code: HANDLER_TIMEOUT, message: `The handler did not respond within ${timeoutMs} ms.` }
      : { code: 'handler_unavailable', message: 'The handler could not be reached.', isAway: true };
    return { status: 'failed', fault, isFinal: false };
  } finally {
    clearTimeout(timer);
  }
}

/** Headers of Standard Webhooks: a handler verifies them as a receiver of webhooks does. */
function signatureOf(keys: readonly KeyObject[], id: string, body: Buffer): Record<string, string> {
  if (keys.length === 0) return {};
  const timestamp = Math.floor(Date.now() / 1_000);
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': sign(keys, id, timestamp, body),
  };
}

async function readStart(body: Dispatcher.ResponseData['body']): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body as AsyncIterable<Uint8Array>) {
    parts.push(part);
    bytes += part.length;
    // Leaving the loop closes the connection, because the rest is not read.
    if (bytes >= MAX_ANSWER_BYTES) break;
  }
  return Buffer.concat(parts).subarray(0, MAX_ANSWER_BYTES).toString();
}

/** What the handler says of why: a field of a JSON answer, or the text itself. */
export function reasonOf(text: string): string | undefined {
  const cut = (reason: string) =>
    reason.replaceAll('\0', '').trim().slice(0, MAX_REASON_CHARACTERS) || undefined;
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === 'object' && answer !== null) {
      const fields = answer as Readonly<Record<string, unknown>>;
      const reason = [fields.reason, fields.detail, fields.message, fields.error].find(
        (field) => typeof field === 'string' && field !== '',
      );
      return typeof reason === 'string' ? cut(reason) : undefined;
    }
  } catch {
    // Not JSON: the text is the reason.
  }
  return cut(text);
}

/** What a header's value can carry, without the sign that escapes the rest. */
const PLAIN = /[\x21-\x24\x26-\x7e]/;

/** Servers commonly take some 8 KB of headers in all. */
const MAX_CHARACTERS = 1_000;

/**
 * The `Idempotency-Key` of an item, the same for every request of it: `<job>/<item>`, with the UTF-8 bytes of the item's ID
 * percent-encoded where they are `%`, a space, or no printable ASCII. One that would be longer than 1,000 characters is
 * `<job>/sha256:<hex>` of the ID.
 */
export function idempotencyKeyOf(jobId: string, itemId: string): string {
  const encoded = Array.from(Buffer.from(itemId), (byte) => {
    const character = String.fromCharCode(byte);
    return PLAIN.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }).join('');
  if (encoded.length <= MAX_CHARACTERS) return `${jobId}/${encoded}`;
  return `${jobId}/sha256:${createHash('sha256').update(itemId).digest('hex')}`;
}
