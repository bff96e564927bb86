import {
  ConnectionError,
  type ProblemDocument,
  TandemError,
  TimeoutError,
  toApiError,
  toProblem,
} from './errors.ts';
import { isRetried, type RetryPolicy, readRetryAfter, retryDelayMs, sleep } from './retry.ts';

/** Options of one call. */
export interface CallOptions {
  /** Ends the call, its retries and its waiting. */
  readonly signal?: AbortSignal | undefined;
  /** Time limit of each attempt, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** For a call that creates something. By default the client makes one, and keeps it over all retries. */
  readonly idempotencyKey?: string | undefined;
}

export interface TransportOptions {
  readonly baseUrl: string;
  readonly key: string;
  readonly fetch: typeof fetch;
  readonly retries: RetryPolicy;
  readonly timeoutMs: number;
  readonly userAgent: string | undefined;
}

export type RequestBody = string | Uint8Array | Blob | ReadableStream<Uint8Array>;

export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: RequestBody | undefined;
  /** Whether a repeat does no harm after a response was lost. */
  readonly isRepeatable: boolean;
  /**
   * Only where a redirect leads to a file. Elsewhere it leads past the API: `fetch` would follow a POST by a GET, whose response
   * is not that of the POST.
   */
  readonly followsRedirects?: boolean;
}

type Attempt<T> =
  | { readonly read: T }
  | {
      readonly status: number;
      readonly retryAfter: number | undefined;
      readonly problem: ProblemDocument;
    }
  | TandemError;

/** Sends requests, repeats them, and turns problems into errors. The key appears in no error. */
export class Transport {
  readonly baseUrl: string;
  readonly #options: TransportOptions;

  constructor(options: TransportOptions) {
    this.baseUrl = readBaseUrl(options.baseUrl);
    this.#options = options;
    // A character that no header may have would be quoted by fetch's own error, with the key around it.
    if (!/^[\x21-\x7e]+$/.test(options.key)) {
      throw new TandemError('The key must be printable ASCII without spaces, such as tk_….');
    }
  }

  /** The headers of a request to the API. */
  authorized(headers: Readonly<Record<string, string>> = {}): Record<string, string> {
    const { key, userAgent } = this.#options;
    return {
      ...headers,
      authorization: `Bearer ${key}`,
      ...(userAgent === undefined ? {} : { 'user-agent': userAgent }),
    };
  }

  /** The text of the response. The time limit covers its body. @throws ApiError, ConnectionError, TimeoutError */
  text(request: HttpRequest, options: CallOptions = {}): Promise<string> {
    return this.#send(request, options, (response) => response.text());
  }

  /** The response, whose body is still to be read: without a time limit of ours. @throws as `text` does */
  open(request: HttpRequest, options: CallOptions = {}): Promise<Response> {
    return this.#send(request, options, (response) => Promise.resolve(response));
  }

  async #send<T>(
    request: HttpRequest,
    { signal, timeoutMs = this.#options.timeoutMs }: CallOptions,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    const { retries } = this.#options;
    // A stream can be sent once.
    const maxRetries = request.body instanceof ReadableStream ? 0 : retries.maxRetries;
    let mayBeDone = false;
    for (let retry = 1; ; retry += 1) {
      const outcome = await this.#attempt(request, signal, timeoutMs, read);
      if ('read' in outcome) return outcome.read;
      const isLast = retry > maxRetries;
      if (outcome instanceof TandemError) {
        if (isLast || !request.isRepeatable) throw outcome;
        mayBeDone = true;
        await sleep(retryDelayMs(retry, undefined), signal);
        continue;
      }
      const { status, retryAfter, problem } = outcome;
      // An earlier attempt deleted it, and its response was lost.
      if (request.method === 'DELETE' && status === 404 && mayBeDone) return read(new Response(null));
      const isWorthIt =
        isRetried(status, retryAfter) &&
        (request.isRepeatable || status === 429 || status === 503) &&
        (retryAfter ?? 0) * 1_000 <= retries.maxWaitMs;
      if (isLast || !isWorthIt) throw toApiError(status, problem, retryAfter);
      mayBeDone ||= status >= 500 && status !== 503;
      await sleep(retryDelayMs(retry, retryAfter), signal);
    }
  }

  async #attempt<T>(
    { method, url, headers, body, followsRedirects = false }: HttpRequest,
    signal: AbortSignal | undefined,
    timeoutMs: number,
    read: (response: Response) => Promise<T>,
  ): Promise<Attempt<T>> {
    signal?.throwIfAborted();
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), timeoutMs);
    try {
      const response = await this.#options.fetch(url, {
        method,
        headers,
        ...(body === undefined ? {} : { body, duplex: 'half' }),
        redirect: followsRedirects ? 'follow' : 'manual',
        signal: signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]),
      } as RequestInit);
      if (response.ok) return { read: await read(response) };
      const retryAfter = readRetryAfter(response.headers.get('retry-after'), Date.now());
      const problem = await readProblem(response);
      signal?.throwIfAborted();
      return { status: response.status, retryAfter, problem };
    } catch (cause) {
      signal?.throwIfAborted();
      if (limit.signal.aborted) {
        return new TimeoutError(`No response from ${placeOf(url)} within ${timeoutMs} ms.`);
      }
      const said = this.withoutKey(reasonOf(cause));
      const isClean = this.withoutKey(String(cause)) === String(cause);
      return new ConnectionError(`No response from ${placeOf(url)}: ${said}`, {
        cause: isClean ? cause : said,
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /** The text without the key. */
  withoutKey(text: string): string {
    return text.replaceAll(this.#options.key, '[key]');
  }
}

/** Query and user of a URL may be secrets: a presigned URL is one. */
function placeOf(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error && cause.cause.message !== '' ? cause.cause.message : cause.message;
}

/** Bytes of a problem document that are read: it names a few dozen faults at most. */
const MAX_PROBLEM_BYTES = 262_144;

/** A proxy in between may respond with anything, or with a body that never ends. */
async function readProblem(response: Response): Promise<ProblemDocument> {
  const text = await readUpTo(response, MAX_PROBLEM_BYTES).catch(() => '');
  const requestId = response.headers.get('x-request-id');
  const known = requestId === null ? {} : { request_id: requestId };
  const isRedirect = response.type === 'opaqueredirect' || Math.floor(response.status / 100) === 3;
  if (isRedirect) return { ...known, detail: describeRedirect(response.headers.get('location')) };
  const problem = toProblem(text);
  if (problem !== undefined) return { ...known, ...problem };
  return { ...known, detail: `The server returned ${response.status} without a problem document.` };
}

/** A browser does not show where a redirect leads. The query of an address may be a secret. */
function describeRedirect(location: string | null): string {
  const target = location === null ? 'another address' : location.split(/[?#]/, 1)[0];
  return `The server redirects to ${target}. Use the address of the API itself as the base URL.`;
}

/** The text of a body. What goes beyond the limit is not read, and the connection ends. */
async function readUpTo({ body }: Response, maxBytes: number): Promise<string> {
  if (body === null) return '';
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    bytes += value.length;
    if (bytes > maxBytes) {
      await reader.cancel();
      return text;
    }
    text += decoder.decode(value, { stream: true });
  }
}

function readBaseUrl(text: string): string {
  const isUrl = /^https?:\/\//.test(text) && URL.canParse(text);
  if (!isUrl) throw new TandemError('The base URL must be an absolute http or https URL.');
  return text.replace(/\/+$/, '');
}
