import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseExactJson } from './exact-json.ts';
import type { FeedEvent } from './replica.ts';

/** How a delivery is answered: a status, perhaps late, or not at all. `reset` cuts the connection after the event was taken. */
export type Answer = { status: number; afterMs?: number } | 'reset' | 'hang';

export interface Delivery {
  event: FeedEvent;
  /** The `webhook-id` header. */
  id: string;
  receivedAtMs: number;
}

export interface ReceiverOptions {
  /** Called for each delivery whose signature is right; its answer is sent. By default 204. */
  onDelivery(delivery: Delivery): Answer;
  port?: number;
}

export interface Receiver extends AsyncDisposable {
  readonly url: string;
  /** Deliveries wait for their answer until the secret is known: the first may be sent before the POST that returns it is answered. */
  setSecret(secret: string): void;
  readonly counts: { deliveries: number; badSignatures: number; idMismatches: number };
}

/** The customer's side: an HTTP server that checks signatures by the Standard Webhooks specification, with no code of the sender. */
export async function openReceiver({ onDelivery, port = 0 }: ReceiverOptions): Promise<Receiver> {
  // A refusal instead would make the sender try again seconds later, and rest if there are many.
  const secretKey = Promise.withResolvers<Buffer>();
  const counts = { deliveries: 0, badSignatures: 0, idMismatches: 0 };
  const take = (request: IncomingMessage, body: Buffer, key: Buffer): Answer => {
    if (!isSigned(request, body, key)) {
      counts.badSignatures += 1;
      return { status: 401 };
    }
    const event = parseExactJson(body.toString('utf8')) as FeedEvent;
    const id = String(request.headers['webhook-id']);
    if (id !== event.id) counts.idMismatches += 1;
    counts.deliveries += 1;
    return onDelivery({ event, id, receivedAtMs: Date.now() });
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', async () => {
      // A receiver that fails to take an event must say so, or the sender would think that it has it.
      let answer: Answer = { status: 500 };
      try {
        answer = take(request, Buffer.concat(chunks), await secretKey.promise);
      } finally {
        sendAnswer(response, answer);
      }
    });
    request.on('error', () => undefined);
  });
  server.keepAliveTimeout = 30_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    setSecret(secret) {
      secretKey.resolve(Buffer.from(secret.replace(/^whsec_/, ''), 'base64'));
    },
    counts,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function sendAnswer(response: ServerResponse, answer: Answer): void {
  if (answer === 'reset') response.socket?.resetAndDestroy();
  else if (answer !== 'hang') {
    const { status, afterMs = 0 } = answer;
    if (afterMs === 0) response.writeHead(status).end();
    else setTimeout(() => response.writeHead(status).end(), afterMs).unref();
  }
}

function isSigned(request: IncomingMessage, body: Buffer, key: Buffer): boolean {
  const {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatures,
  } = request.headers;
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  return String(signatures ?? '')
    .split(' ')
    .some((signature) => {
      const given = Buffer.from(signature.replace(/^v1,/, ''), 'base64');
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
}
