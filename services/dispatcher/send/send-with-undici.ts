import type { Dispatcher } from 'undici';
import type { ConnectionCheck } from './connection-check.ts';
import { type StopDeadline, startDeadline } from './deadline.ts';
import { errorClassOf, toFailure } from './error-class.ts';
import { type KeptHeaders, keepHeaders, NO_HEADERS } from './kept-headers.ts';
import { type Connection, createOriginConnections, type OriginConnections } from './origin-connections.ts';
import { repeatWhenStale, type Try } from './repeat-when-stale.ts';
import {
  EXCERPT_BYTES,
  MAX_ANSWER_BYTES,
  type SendErrorClass,
  type Sender,
  type SenderConfig,
  type SendRequest,
} from './send.ts';

/** Sends with undici, which takes a quarter of got's CPU time. */
export function createUndiciSender({ timeoutMs }: SenderConfig, check: ConnectionCheck): Sender {
  // A connection that is made after its request's deadline is useless.
  const connections = createOriginConnections(check, timeoutMs);
  const underWay = new Set<Exchange>();
  const attempt = (request: SendRequest, remainingMs: number): Promise<Try> =>
    new Promise((resolve) => {
      const exchange: Exchange = new Exchange(connections, remainingMs, request.signal, (result) => {
        underWay.delete(exchange);
        resolve(result);
      });
      underWay.add(exchange);
      exchange.start(request);
    });
  return {
    send: repeatWhenStale(timeoutMs, attempt),
    async close() {
      for (const exchange of underWay) exchange.fail('aborted');
      await connections.closeIdle();
    },
  };
}

/** One request and its response, on a connection that it uses alone. The first outcome counts. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #connections: OriginConnections;
  readonly #signal: AbortSignal | undefined;
  readonly #settle: (result: Try) => void;
  readonly #startedAtMs = performance.now();
  readonly #stopDeadline: StopDeadline;
  readonly #onAbort = () => this.fail('aborted');
  readonly #chunks: Buffer[] = [];
  #connection: Connection | undefined;
  #byteCount = 0;
  #status = 0;
  #retryAfter: string | undefined;
  #headers: KeptHeaders = NO_HEADERS;
  #isSettled = false;

  constructor(
    connections: OriginConnections,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    settle: (result: Try) => void,
  ) {
    this.#connections = connections;
    this.#signal = signal;
    this.#settle = settle;
    this.#stopDeadline = startDeadline(timeoutMs, () => this.fail('timeout'));
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  start({ url, headers, body }: SendRequest): void {
    if (this.#signal?.aborted === true) {
      this.fail('aborted');
      return;
    }
    try {
      const { origin, pathname, search } = new URL(url);
      this.#connection = this.#connections.take(origin);
      this.#connection.client.dispatch({ method: 'POST', path: pathname + search, headers, body }, this);
    } catch (error) {
      this.fail(errorClassOf(error));
    }
  }

  /** Ends it without a response, and drops the connection. */
  fail(errorClass: SendErrorClass): void {
    if (this.#isSettled) return;
    if (errorClass === 'oversized' && this.#status > 0) {
      this.#answer();
      return;
    }
    const isReused = (this.#connection?.answerCount ?? 0) > 0;
    this.#end({
      outcome: toFailure(errorClass, this.#durationMs()),
      isStale: errorClass === 'reset' && this.#status === 0 && isReused,
    });
    void this.#connection?.client.destroy();
  }

  /** Required by undici. Everything is done through the connection instead. */
  onRequestStart(): void {}

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // An interim response; the final one follows.
    if (status < 200) return;
    this.#status = status;
    this.#headers = keepHeaders(headers);
    const retryAfter = headers['retry-after'];
    this.#retryAfter = Array.isArray(retryAfter) ? retryAfter[0] : retryAfter;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isSettled) return;
    if (this.#byteCount < EXCERPT_BYTES) this.#chunks.push(Buffer.from(chunk.subarray(0, EXCERPT_BYTES)));
    this.#byteCount += chunk.length;
    if (this.#byteCount <= MAX_ANSWER_BYTES) return;
    this.#answer();
    // The rest is not read, so the connection can't be reused.
    void this.#connection?.client.destroy();
  }

  onResponseEnd(): void {
    if (this.#isSettled) return;
    const connection = this.#connection;
    if (connection !== undefined) {
      connection.answerCount += 1;
      this.#connections.giveBack(connection);
    }
    this.#answer();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.fail(errorClassOf(error));
  }

  #answer(): void {
    this.#end({
      outcome: {
        kind: 'answered',
        status: this.#status,
        retryAfter: this.#retryAfter,
        excerpt: Buffer.concat(this.#chunks).subarray(0, EXCERPT_BYTES).toString('utf8'),
        isCut: this.#byteCount > EXCERPT_BYTES,
        headers: this.#headers,
        durationMs: this.#durationMs(),
      },
      isStale: false,
    });
  }

  #end(result: Try): void {
    this.#isSettled = true;
    this.#stopDeadline();
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#settle(result);
  }

  #durationMs(): number {
    return Math.round(performance.now() - this.#startedAtMs);
  }
}
