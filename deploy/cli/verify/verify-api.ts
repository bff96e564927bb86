import { SetupError } from '../../../shared/runtime/errors.ts';
import { backoffMs } from '../../../shared/runtime/retry.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';

/** The comparison can't be made, which says nothing of whether the copy is right. Its text says what to do. */
export class CouldNotTellError extends Error {
  override readonly name = 'CouldNotTellError';
}

/** The API as one who verifies uses it. Whatever passes (no connection, 429, 5xx) is tried again, for some minutes. */
export interface VerifyApi {
  /** The answer's text, with every digit. @throws SetupError for what is refused, CouldNotTellError for what does not pass */
  ask(method: 'GET' | 'POST' | 'DELETE', path: string, request?: ApiRequest): Promise<string>;
  /** The same API until another signal aborts: for what is cleaned up after this one's has. */
  until(signal: AbortSignal): VerifyApi;
}

export interface ApiRequest {
  readonly body?: unknown;
  /** Makes a POST that is tried again the same job. */
  readonly idempotencyKey?: string;
}

const REQUEST_LIMIT_MS = 60_000;
/** With delays of half a second to 20 s this is some five minutes: as long as a deployment or a full queue takes. */
const MAX_TRIES = 20;
const RETRY = { initialMs: 500, maxMs: 20_000 };
const MAX_RETRY_AFTER_MS = 60_000;

export function createVerifyApi(baseUrl: string, key: string, signal: AbortSignal): VerifyApi {
  return {
    until: (other) => createVerifyApi(baseUrl, key, other),
    async ask(method, path, { body, idempotencyKey } = {}) {
      for (let tries = 1; ; tries += 1) {
        let found: string;
        let waitMs = backoffMs(tries - 1, RETRY);
        try {
          const response = await fetch(`${baseUrl}${path}`, {
            method,
            headers: {
              authorization: `Bearer ${key}`,
              ...(body === undefined ? {} : { 'content-type': 'application/json' }),
              ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
            },
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
            signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_LIMIT_MS)]),
          });
          const text = await response.text();
          if (response.ok) return text;
          found = `${method} ${path} returned ${response.status}: ${text}`;
          if (response.status !== 429 && response.status < 500) throw new SetupError(found);
          const retryAfterMs = 1_000 * Number(response.headers.get('retry-after') ?? Number.NaN);
          if (retryAfterMs > 0) waitMs = Math.min(retryAfterMs, MAX_RETRY_AFTER_MS);
        } catch (error) {
          signal.throwIfAborted();
          if (error instanceof SetupError) throw error;
          const { cause } = error as { cause?: unknown };
          found = `${method} ${path} failed: ${String(cause ?? error)}`;
        }
        if (tries === MAX_TRIES)
          throw new CouldNotTellError(`the API at ${baseUrl} does not do it: ${found}`);
        await sleep(waitMs, signal);
        signal.throwIfAborted();
      }
    },
  };
}
