import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * Takes webhooks with as little work as can be, so that the sender is measured: no parsing and no check of signatures.
 * Arrivals are noted when the headers are in; both lists are in the order of arrival.
 */
export interface BenchReceiver extends AsyncDisposable {
  readonly url: string;
  readonly receivedMs: readonly number[];
  /** When the source committed the change, by the event's own timestamp. */
  readonly committedMs: readonly number[];
  reset(): void;
}

export async function openBenchReceiver(): Promise<BenchReceiver> {
  let receivedMs: number[] = [];
  let committedMs: number[] = [];
  const server = createServer((request, response) => {
    const atMs = performance.timeOrigin + performance.now();
    let first: Buffer | undefined;
    request.on('data', (chunk: Buffer) => {
      first ??= chunk;
    });
    request.on('end', () => {
      receivedMs.push(atMs);
      committedMs.push(readTimestampMs(first));
      response.writeHead(204).end();
    });
    request.on('error', () => undefined);
  });
  server.keepAliveTimeout = 30_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get receivedMs() {
      return receivedMs;
    },
    get committedMs() {
      return committedMs;
    },
    reset() {
      receivedMs = [];
      committedMs = [];
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The envelope begins with the ID, the type and the timestamp. */
const ENVELOPE_HEAD_BYTES = 300;

/** `Date.parse` drops the microseconds. */
function readTimestampMs(body: Buffer | undefined): number {
  const head = body?.toString('latin1', 0, ENVELOPE_HEAD_BYTES) ?? '';
  const [, seconds = '', micros = '0'] = /"timestamp":"([^"]+)\.(\d+)Z"/.exec(head) ?? [];
  return Date.parse(`${seconds}Z`) + Number(micros) / 1_000;
}
