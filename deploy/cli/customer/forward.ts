import type { KeyObject } from 'node:crypto';
import { retryDelayMs, sleep } from '../../../schemas/clients/typescript/src/retry.ts';
import { deliveryHeaders, deliveryTimestamp } from '../../../shared/protocol/webhook-message.ts';
import { sign } from '../../../shared/runtime/signing.ts';

/** As deliveries of Tandem have it by default. */
const TIMEOUT_MS = 15_000;

export interface ForwardOptions {
  readonly url: string;
  readonly key: KeyObject;
  readonly signal: AbortSignal;
  /** An attempt that failed, and the time until the next. */
  readonly onFailure: (reason: string, waitMs: number) => void;
}

export interface Forwarded {
  readonly status: number;
  readonly attempts: number;
  readonly durationMs: number;
}

/**
 * Sends an event as a delivery of Tandem has it, until a 2xx response comes. Each attempt has the event's ID and a timestamp
 * and a signature of its own. A redirect is a failure.
 *
 * @param text the event as the feed has it, which is the body
 * @throws the signal's reason
 */
export async function forwardEvent(id: string, text: string, options: ForwardOptions): Promise<Forwarded> {
  const { url, key, signal, onFailure } = options;
  const body = Buffer.from(text, 'utf8');
  for (let attempts = 1; ; attempts += 1) {
    const timestamp = deliveryTimestamp(Date.now());
    const startedAtMs = performance.now();
    const reason = await post(
      url,
      body,
      deliveryHeaders(id, timestamp, sign([key], id, timestamp, body)),
      signal,
    );
    if (typeof reason === 'number') {
      return { status: reason, attempts, durationMs: Math.round(performance.now() - startedAtMs) };
    }
    const waitMs = retryDelayMs(attempts, undefined);
    onFailure(reason, waitMs);
    await sleep(waitMs, signal);
  }
}

/** The status of a 2xx response, or why there is none. */
async function post(
  url: string,
  body: Buffer<ArrayBuffer>,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<number | string> {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body,
      redirect: 'manual',
      signal: AbortSignal.any([signal, limit]),
    });
    await response.body?.cancel();
    return response.ok ? response.status : `${url} returned ${response.status}`;
  } catch (error) {
    signal.throwIfAborted();
    if (limit.aborted) return `${url} did not respond within ${TIMEOUT_MS / 1_000} s`;
    const { cause, message } = error as Error;
    return `${url} is not reached: ${cause instanceof Error && cause.message !== '' ? cause.message : message}`;
  }
}
