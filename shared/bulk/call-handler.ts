import { sleep } from '../runtime/sleep.ts';

export interface HandlerCall {
  readonly url: string;
  /** Of one try. */
  readonly timeoutMs: number;
  /** The same for every try of an item, in this process or another, so that the handler can tell. */
  readonly idempotencyKey: string;
  readonly body: unknown;
}

/** Why an item failed. */
export interface HandlerFault {
  readonly code: string;
  readonly message: string;
}

export type HandlerOutcome =
  | { readonly status: 'succeeded' }
  | { readonly status: 'failed'; readonly fault: HandlerFault }
  /** Called off before there was an answer that settles it; `fault` is that of the try before, if there was one. */
  | { readonly status: 'stopped'; readonly fault: HandlerFault | null };

/** The code of an item whose handler did not answer in time: it may have done it. */
export const HANDLER_TIMEOUT = 'handler_timeout';

/** Before the second, third and fourth try. */
const RETRY_DELAYS_MS = [200, 800, 2_000];

/** Of an answer; the rest is not read. */
const MAX_ANSWER_BYTES = 16_384;
const MAX_REASON_CHARACTERS = 500;

/** 429 is the handler's word for "later"; every other 4xx is its last. */
const LATER = 429;

export interface CallSignals {
  /** Nothing is asked again after this; an answer that is on its way is waited for. */
  readonly noMore: AbortSignal;
  /** Breaks off what is under way. */
  readonly over: AbortSignal;
}

/** Asks the handler for one item, and again when it is not well. A handler that hangs costs its own item its time limits. */
export async function callHandler(call: HandlerCall, { noMore, over }: CallSignals): Promise<HandlerOutcome> {
  let fault: HandlerFault | null = null;
  for (const delayMs of [...RETRY_DELAYS_MS, undefined]) {
    const answer = await callOnce(call, over);
    if (answer === 'stopped') break;
    if (answer === 'succeeded') return { status: 'succeeded' };
    fault = answer.fault;
    if (answer.isFinal || delayMs === undefined) return { status: 'failed', fault };
    await sleep(delayMs, noMore);
    if (noMore.aborted) break;
  }
  return { status: 'stopped', fault };
}

async function callOnce(
  { url, timeoutMs, idempotencyKey, body }: HandlerCall,
  signal: AbortSignal,
): Promise<'succeeded' | 'stopped' | { fault: HandlerFault; isFinal: boolean }> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
      body: JSON.stringify(body),
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    const text = await readStart(response);
    if (response.ok) return 'succeeded';
    const message = reasonOf(text) ?? `The handler answered ${response.status}.`;
    if (response.status >= 500 || response.status === LATER) {
      return { fault: { code: 'handler_unavailable', message }, isFinal: false };
    }
    return { fault: { code: 'handler_refused', message }, isFinal: true };
  } catch (error) {
    if (signal.aborted) return 'stopped';
    const isTimeout = error instanceof Error && error.name === 'TimeoutError';
    const fault = isTimeout
      ? { code: HANDLER_TIMEOUT, message: `The handler did not answer within ${timeoutMs} ms.` }
      : { code: 'handler_unavailable', message: 'The handler could not be reached.' };
    return { fault, isFinal: false };
  }
}

async function readStart(response: Response): Promise<string> {
  if (response.body === null) return '';
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body) {
    parts.push(part);
    bytes += part.length;
    // Leaving the loop cancels the rest.
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
