import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { waitFor } from './wait-for.ts';

export interface ReceivedRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** `webhook-id`. */
  readonly id: string;
  readonly atMs: number;
}

/** How a receiver answers: a status, or anything else by hand. */
export type Answer = (request: ReceivedRequest, response: ServerResponse) => number | undefined;

export interface WebhookReceiver extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** In order of arrival. */
  readonly received: readonly ReceivedRequest[];
  /** Requests that have not been answered yet. */
  readonly openCount: number;
  answer: Answer;
  /** Resolves once `condition` holds for what was received. */
  until(
    what: string,
    condition: (received: readonly ReceivedRequest[]) => boolean,
    timeoutMs?: number,
  ): Promise<void>;
}

/** A real HTTP server on the loopback. It answers 200 until told otherwise. */
export async function openWebhookReceiver(answer: Answer = () => 200): Promise<WebhookReceiver> {
  const received: ReceivedRequest[] = [];
  let openCount = 0;
  const server = createServer((request, response) => {
    openCount += 1;
    response.on('close', () => {
      openCount -= 1;
    });
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const entry: ReceivedRequest = {
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString('utf8'),
        id: String(request.headers['webhook-id'] ?? ''),
        atMs: Date.now(),
      };
      received.push(entry);
      const status = receiver.answer(entry, response);
      if (status !== undefined) response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${port}/hook`,
    port,
    received,
    get openCount() {
      return openCount;
    },
    answer,
    until: async (what, condition, timeoutMs) => {
      await waitFor(what, () => condition(received), timeoutMs);
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return receiver;
}
