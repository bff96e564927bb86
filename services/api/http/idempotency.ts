import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { ExactNumber } from '../../../shared/domain/exact-json.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { SecretBox } from '../../../shared/runtime/secret-box.ts';
import { claimKey, dropExpiredKeys, findResponse, type KeyClaim, keepResponse } from './idempotency-keys.ts';
import type { TextResponse } from './response.ts';

const MAX_KEY_CHARACTERS = 255;

/** Two requests with the same identity are the same request. */
export interface RequestIdentity {
  /** Keys of different accounts are unrelated. */
  readonly accountId: string;
  /** Method and path. */
  readonly route: string;
  readonly key: string | undefined;
  /** Print of the API key: only this key is shown a secret again. */
  readonly keyPrint: string;
  readonly body: unknown;
}

/**
 * The value of an `Idempotency-Key` header: `"k"` (as the draft standard writes it) and `k` are the same key.
 *
 * @returns undefined when the header is absent
 * @throws AppError `malformed` for an empty one, one over 255 characters, or one with control characters
 */
export function readIdempotencyKey(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const trimmed = header.trim();
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(trimmed)?.[1];
  const key = quoted === undefined ? trimmed : quoted.replace(/\\(["\\])/g, '$1');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
  if (key === '' || key.length > MAX_KEY_CHARACTERS || /[\x00-\x1f\x7f]/.test(key)) {
    throw new AppError(
      'malformed',
      `Idempotency-Key must have 1 to ${MAX_KEY_CHARACTERS} characters and no control characters.`,
    );
  }
  return key;
}

/** The first response to a creating request. */
export interface FirstResponse extends TextResponse {
  /** The job that was created. The idempotency key outlives it. */
  readonly jobId?: string;
}

/**
 * Runs a creating request once. The key, the writes and the response are one transaction. After a crash at
 * any line either all of it exists, and a retry gets the first response, or nothing, and a retry runs the
 * request. A failed request leaves its key unused. A second request at the same time waits briefly for the
 * first, then gets a conflict.
 * Responses are stored sealed, because some hold a secret that is shown once.
 *
 * @throws AppError `invalid` when the key was used with another body, `conflict` while the first request is
 *   running
 */
export async function respondOnce(
  pool: Pool,
  box: SecretBox,
  identity: RequestIdentity,
  work: (db: Queryable) => Promise<FirstResponse>,
): Promise<TextResponse> {
  const { accountId, route, key, keyPrint, body } = identity;
  if (key === undefined) return inTransaction(pool, work);
  const requestHash = hashOf(body);
  return inTransaction(pool, async (db) => {
    const claim = await claimKey(db, { accountId, route, key, requestHash });
    if (claim.state === 'in_flight') {
      throw new AppError('conflict', 'A request with this Idempotency-Key is still in progress. Try again.', {
        retryAfterSeconds: 1,
      });
    }
    if (claim.state === 'kept') return replay(box, claim, requestHash, keyPrint);
    const { jobId, ...response } = await work(db);
    const sealed = box.seal(JSON.stringify({ ...response, keyPrint }));
    await keepResponse(db, { accountId, route, key, response: sealed, jobId });
    await dropExpiredKeys(db);
    return response;
  });
}

/**
 * The stored response to a request's key, for routes that do much before `respondOnce`.
 *
 * @returns undefined when there is none yet
 * @throws AppError `invalid` when the key was used with another body
 */
export async function storedResponse(
  pool: Pool,
  box: SecretBox,
  { accountId, route, key, keyPrint, body }: RequestIdentity,
): Promise<TextResponse | undefined> {
  if (key === undefined) return undefined;
  const kept = await findResponse(pool, { accountId, route, key });
  return kept && replay(box, kept, hashOf(body), keyPrint);
}

function hashOf(body: unknown): Buffer {
  return createHash('sha256').update(canonicalJson(body)).digest();
}

/** Secrets that a response shows once: of an endpoint, or an API key. */
const SECRETS: Readonly<Record<string, RegExp>> = { secret: /^whsec_/, key: /^tk_/ };

/** The response without its secrets, for another API key than the first. */
function withoutSecrets(response: TextResponse): TextResponse {
  const body = JSON.parse(response.body) as Record<string, unknown>;
  const isSecret = ([name, value]: [string, unknown]) => SECRETS[name]?.test(String(value)) === true;
  const members = Object.entries(body);
  if (!members.some(isSecret)) return response;
  const rest = Object.fromEntries(members.filter((member) => !isSecret(member)));
  return { ...response, body: JSON.stringify({ ...rest, secret_withheld: WITHHELD }) };
}

const WITHHELD = 'A secret is shown once, to the API key that created it. Create a new secret if it is lost.';

function replay(
  box: SecretBox,
  kept: Extract<KeyClaim, { state: 'kept' }>,
  requestHash: Buffer,
  keyPrint: string,
): TextResponse {
  if (!kept.requestHash.equals(requestHash)) {
    throw new AppError(
      'invalid',
      'This Idempotency-Key was used with another body. Use a new key for a new request.',
      { errors: [{ pointer: 'Idempotency-Key', detail: 'was used with another body' }] },
    );
  }
  const { keyPrint: firstPrint, ...first } = JSON.parse(box.open(kept.response)) as TextResponse & {
    readonly keyPrint?: string;
  };
  // Responses stored by an earlier release have no print.
  const response = firstPrint === keyPrint ? first : withoutSecrets(first);
  return { ...response, headers: { ...response.headers, 'idempotency-replayed': 'true' } };
}

/** Canonical JSON text: independent of the order of keys and of white space. The scan has limited the depth. */
export function canonicalJson(value: unknown): string {
  // A large body is mostly one list of texts or numbers, which has one text anyway.
  if (Array.isArray(value))
    return value.every(isPlain) ? JSON.stringify(value) : `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null || value instanceof ExactNumber) {
    return JSON.stringify(value) ?? 'null';
  }
  const members = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
  return `{${members.join(',')}}`;
}

function isPlain(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number';
}
