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

/** 429 is the handler's word for "later"; every other 4xx is its last. */
const LATER = 429;

/** The least time before the next try of an item; undefined when it has had its last. */
export function retryDelayMs(tryCount: number): number | undefined {
  return RETRY_DELAYS_MS[tryCount - 1];
}

/** Asks the handler for one item, once. */
export async function callHandler(
  { url, timeoutMs, idempotencyKey, body }: HandlerCall,
  signal: AbortSignal,
): Promise<HandlerAnswer> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
      body: JSON.stringify(body),
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    const text = await readStart(response);
    if (response.ok) return { status: 'succeeded' };
    const message = reasonOf(text) ?? `The handler answered ${response.status}.`;
    if (response.status >= 500 || response.status === LATER) {
      return { status: 'failed', fault: { code: 'handler_unavailable', message }, isFinal: false };
    }
    return { status: 'failed', fault: { code: 'handler_refused', message }, isFinal: true };
  } catch (error) {
    if (signal.aborted) return { status: 'stopped' };
    const isTimeout = error instanceof Error && error.name === 'TimeoutError';
    const fault = isTimeout
      ? { code: HANDLER_TIMEOUT, message: `The handler did not answer within ${timeoutMs} ms.` }
      : { code: 'handler_unavailable', message: 'The handler could not be reached.' };
    return { status: 'failed', fault, isFinal: false };
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
