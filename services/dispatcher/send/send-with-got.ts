import got from 'got';
import { createCheckedAgents } from './checked-agents.ts';
import type { ConnectionCheck } from './connection-check.ts';
import { type StopDeadline, startDeadline } from './deadline.ts';
import { errorClassOf, toFailure } from './error-class.ts';
import { keepHeaders } from './kept-headers.ts';
import { repeatWhenStale, type Try } from './repeat-when-stale.ts';
import {
  EXCERPT_BYTES,
  MAX_ANSWER_BYTES,
  type SendErrorClass,
  type Sender,
  type SenderConfig,
  type SendRequest,
} from './send.ts';

/** Sends with got, over Node's own HTTP client. Slower than undici, and the fallback. */
export function createGotSender({ timeoutMs }: SenderConfig, check: ConnectionCheck): Sender {
  const agents = createCheckedAgents(check);
  const client = got.extend({
    method: 'POST',
    agent: { http: agents.http, https: agents.https },
    // Got's own retries ignore order and schedule, and a redirect could lead anywhere.
    retry: { limit: 0 },
    followRedirect: false,
    throwHttpErrors: false,
    decompress: false,
  });

  const attempt = ({ url, headers, body, signal }: SendRequest, remainingMs: number): Promise<Try> =>
    new Promise((resolve) => {
      const startedAtMs = performance.now();
      const chunks: Buffer[] = [];
      let byteCount = 0;
      const durationMs = () => Math.round(performance.now() - startedAtMs);
      const settle = (result: Try) => {
        stopDeadline();
        resolve(result);
      };
      const fail = (errorClass: SendErrorClass, isStale: boolean) =>
        settle({ outcome: toFailure(errorClass, durationMs()), isStale });
      let stopDeadline: StopDeadline = () => undefined;
      try {
        const stream = client.stream(url, {
          headers,
          body,
          ...(signal === undefined ? {} : { signal }),
        });
        stopDeadline = startDeadline(remainingMs, () => {
          fail('timeout', false);
          stream.destroy();
        });
        const answer = () =>
          settle({
            outcome: {
              kind: 'answered',
              status: stream.response?.statusCode ?? 0,
              retryAfter: stream.response?.headers['retry-after'],
              excerpt: Buffer.concat(chunks).subarray(0, EXCERPT_BYTES).toString('utf8'),
              isCut: byteCount > EXCERPT_BYTES,
              headers: keepHeaders(stream.response?.headers ?? {}),
              durationMs: durationMs(),
            },
            isStale: false,
          });
        const isStale = () => stream.reusedSocket === true && stream.response === undefined;
        stream.on('data', (chunk: Buffer) => {
          if (byteCount < EXCERPT_BYTES) chunks.push(chunk);
          byteCount += chunk.length;
          if (byteCount > MAX_ANSWER_BYTES) {
            answer();
            // The rest is not read, so the connection can't be reused.
            stream.destroy();
          }
        });
        stream.on('end', answer);
        // The first to settle wins. A destroyed request still emits an error, which needs a listener.
        stream.on('error', (error) => {
          const errorClass = errorClassOf(error);
          if (errorClass === 'oversized' && stream.response !== undefined) answer();
          else fail(errorClass, errorClass === 'reset' && isStale());
        });
        stream.on('close', () => fail('reset', isStale()));
      } catch (error) {
        fail(errorClassOf(error), false);
      }
    });

  return {
    send: repeatWhenStale(timeoutMs, attempt),
    async close() {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}
