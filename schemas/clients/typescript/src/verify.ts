import { SignatureError } from './errors.ts';
import type { Event } from './types.ts';

/** The headers of a request: of `fetch`, of Node's `http`, or a plain object. Names in any case. */
export type RequestHeaders =
  | { get(name: string): string | null }
  | Readonly<Record<string, string | readonly string[] | undefined>>;

export interface VerifyOptions {
  /** How far the timestamp may be from now, in both directions. Default: 300 seconds. */
  readonly toleranceSeconds?: number | undefined;
  /** The time now, in milliseconds. */
  readonly now?: (() => number) | undefined;
  /** Reads the body. Default: `JSON.parse`. Give a parser that keeps all digits if your numbers need it. */
  readonly parse?: ((text: string) => unknown) | undefined;
}

/** A verified webhook request: one event, or a batch. */
export interface Delivery {
  /** `webhook-id`: the same for each attempt. */
  readonly id: string;
  readonly isBatch: boolean;
  /** In the order of the feed. Skip those whose own `id` you have applied. */
  readonly events: readonly Event[];
  /** The body as it was sent, with all digits of its numbers. */
  readonly text: string;
}

const DEFAULT_TOLERANCE_SECONDS = 300;
/** Tandem sends one, and two during a rotation. */
const MAX_SIGNATURES = 10;
/** Of HMAC-SHA256. */
const SIGNATURE_BYTES = 32;
const encoder = new TextEncoder();

/**
 * Verifies a webhook request by its raw body: give the bytes as they arrived, before any parsing. During a rotation
 * the request has a signature for each secret; one that fits one of yours is enough.
 *
 * @throws SignatureError with the `reason`: respond 401
 */
export async function verifyWebhook(
  headers: RequestHeaders,
  body: string | Uint8Array,
  secrets: string | readonly string[],
  { toleranceSeconds = DEFAULT_TOLERANCE_SECONDS, now = Date.now, parse = JSON.parse }: VerifyOptions = {},
): Promise<Delivery> {
  const id = required(headers, 'webhook-id');
  const timestamp = required(headers, 'webhook-timestamp');
  const signatures = required(headers, 'webhook-signature').split(' ');
  if (!/^\d{1,12}$/.test(timestamp)) {
    throw new SignatureError('old_timestamp', 'webhook-timestamp is not a number of seconds.');
  }
  const ageSeconds = now() / 1_000 - Number(timestamp);
  if (Math.abs(ageSeconds) > toleranceSeconds) {
    const when = ageSeconds > 0 ? 'ago' : 'ahead';
    throw new SignatureError(
      'old_timestamp',
      `The request was signed ${Math.round(Math.abs(ageSeconds))} seconds ${when}; ${toleranceSeconds} are accepted. Is the clock right?`,
    );
  }
  const bytes = typeof body === 'string' ? encoder.encode(body) : body;
  const signed = join(encoder.encode(`${id}.${timestamp}.`), bytes);
  const keys = await Promise.all((typeof secrets === 'string' ? [secrets] : secrets).map(importSecret));
  if (keys.length === 0) throw new RangeError('verifyWebhook needs a secret');
  if (!(await fitsOne(keys, signatures, signed))) {
    throw new SignatureError(
      'wrong_signature',
      'No signature fits. Verify the raw body with the secret of this endpoint.',
    );
  }
  const text = typeof body === 'string' ? body : new TextDecoder().decode(body);
  return { id, ...readEvents(text, parse), text };
}

type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** One signature of the body for each key, however many signatures a stranger sends. */
async function fitsOne(
  keys: readonly Key[],
  signatures: readonly string[],
  signed: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const given = signatures
    .slice(0, MAX_SIGNATURES)
    .map((text) => (text.startsWith('v1,') ? fromBase64(text.slice(3)) : undefined))
    .filter((bytes) => bytes?.length === SIGNATURE_BYTES);
  if (given.length === 0) return false;
  for (const key of keys) {
    const expected = new Uint8Array(await crypto.subtle.sign('HMAC', key, signed));
    if (given.some((bytes) => bytes !== undefined && isSame(bytes, expected))) return true;
  }
  return false;
}

/** Takes the same time wherever they differ. Both have the same length. */
function isSame(left: Uint8Array, right: Uint8Array): boolean {
  let difference = 0;
  for (const [index, byte] of left.entries()) difference |= byte ^ (right[index] ?? 0);
  return difference === 0;
}

/** @throws RangeError for a secret that is not `whsec_` and base64: the fault is in the receiver's settings */
function importSecret(secret: string): Promise<Key> {
  const bytes = fromBase64(secret.replace(/^whsec_/, ''));
  // Anyone could sign with an empty key.
  if (bytes === undefined || bytes.length === 0) throw new RangeError('a secret must be whsec_ and base64');
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
}

function readEvents(text: string, parse: (text: string) => unknown): Pick<Delivery, 'isBatch' | 'events'> {
  try {
    const parsed = parse(text) as Event & { events?: Event[] };
    const isBatch = parsed.type === 'batch' && Array.isArray(parsed.events);
    return { isBatch, events: isBatch ? (parsed.events ?? []) : [parsed] };
  } catch {
    throw new SignatureError('malformed_body', 'The signature fits, but the body is not JSON.');
  }
}

function required(headers: RequestHeaders, name: string): string {
  const value = readHeader(headers, name);
  if (value === undefined || value === '') throw new SignatureError('missing_header', `There is no ${name}.`);
  return value;
}

function readHeader(headers: RequestHeaders, name: string): string | undefined {
  if ('get' in headers && typeof headers.get === 'function') return headers.get(name) ?? undefined;
  const plain = headers as Readonly<Record<string, string | readonly string[] | undefined>>;
  const value = plain[name] ?? Object.entries(plain).find(([each]) => each.toLowerCase() === name)?.[1];
  return typeof value === 'object' ? value.join(' ') : value;
}

function join(head: Uint8Array, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(head.length + body.length);
  whole.set(head);
  whole.set(body, head.length);
  return whole;
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  } catch {
    return undefined;
  }
}
