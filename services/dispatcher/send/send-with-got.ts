import got from 'got';
import type { Agents } from './checked-agents.ts';
import { errorClassOf } from './error-class.ts';
import {
  EXCERPT_BYTES,
  MAX_ANSWER_BYTES,
  type Send,
  type SendErrorClass,
  type SendOutcome,
  type SendRequest,
} from './send.ts';

export interface SenderConfig {
  /** For name, connection, request and whole answer together. */
  readonly timeoutMs: number;
}

const MESSAGES: Record<SendErrorClass, string> = {
  invalid_url: 'the URL can not be requested',
  address_refused: 'the address is not delivered to',
  dns: 'the name could not be resolved',
  refused: 'the connection was refused',
  unreachable: 'the host could not be reached',
  reset: 'the connection was closed before the answer was complete',
  tls: 'no secure connection could be made',
  timeout: 'there was no complete answer in time',
  protocol: 'the answer was not valid HTTP',
  aborted: 'the request was broken off',
};

export function createGotSender({ timeoutMs }: SenderConfig, agents: Agents): Send {
  const client = got.extend({
    method: 'POST',
    agent: { http: agents.http, https: agents.https },
    // Got's own retries know nothing of order or of the schedule, and a followed redirect could lead anywhere.
    retry: { limit: 0 },
    followRedirect: false,
    throwHttpErrors: false,
    decompress: false,
    timeout: { request: timeoutMs },
  });

  /** @returns the outcome, and whether it was a kept connection that the receiver was just closing */
  const attempt = ({ url, headers, body, signal }: SendRequest): Promise<SendOutcome & { isStale?: true }> =>
    new Promise((resolve) => {
      const startedAtMs = performance.now();
      const chunks: Buffer[] = [];
      let byteCount = 0;
      const durationMs = () => Math.round(performance.now() - startedAtMs);
      const fail = (errorClass: SendErrorClass, isStale: boolean) =>
        resolve({
          kind: 'failed',
          errorClass,
          message: MESSAGES[errorClass],
          durationMs: durationMs(),
          ...(isStale ? { isStale } : {}),
        });
      try {
        const stream = client.stream(url, { headers, body, ...(signal === undefined ? {} : { signal }) });
        const answer = () =>
          resolve({
            kind: 'answered',
            status: stream.response?.statusCode ?? 0,
            retryAfter: stream.response?.headers['retry-after'],
            excerpt: Buffer.concat(chunks).subarray(0, EXCERPT_BYTES).toString('utf8'),
            durationMs: durationMs(),
          });
        const isStale = () => stream.reusedSocket === true && stream.response === undefined;
        stream.on('data', (chunk: Buffer) => {
          if (byteCount < EXCERPT_BYTES) chunks.push(chunk);
          byteCount += chunk.length;
          if (byteCount > MAX_ANSWER_BYTES) {
            answer();
            // The rest is not read: the connection goes with it.
            stream.destroy();
          }
        });
        stream.on('end', answer);
        // The first to settle wins; a destroyed request still reports, and must be listened to.
        stream.on('error', (error) => {
          const errorClass = errorClassOf(error);
          fail(errorClass, errorClass === 'reset' && isStale());
        });
        stream.on('close', () => fail('reset', isStale()));
      } catch (error) {
        fail(errorClassOf(error), false);
      }
    });

  return async (request) => {
    const { isStale, ...outcome } = await attempt(request);
    if (isStale !== true) return outcome;
    // The receiver closed an idle connection just as we wrote to it: this is no failure of the endpoint, and a repeat
    // on another connection is what HTTP clients do (RFC 9112, 9.3.1). The event's ID makes it harmless.
    const { isStale: _again, ...second } = await attempt(request);
    return second;
  };
}
