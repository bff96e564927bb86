import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, expect, test } from 'vitest';
import { connectTo } from '../../../test/support/connect-to.ts';
import { dropSlowReaders, inPieces } from './slow-reader.ts';

const LIMITS = { leastBytesPerSecond: 50_000_000, windowMs: 300, checkEveryMs: 20 };

let cleanup = new AsyncDisposableStack();
afterEach(async () => {
  await cleanup.disposeAsync();
  cleanup = new AsyncDisposableStack();
});

/** Opens a download of `body`, which the test reads. */
async function download(
  body: () => Readable,
  limits = LIMITS,
): Promise<{ client: Socket; response: ServerResponse }> {
  const responding = Promise.withResolvers<ServerResponse>();
  const server = createServer((_request, response) => {
    body().pipe(response);
    responding.resolve(response);
  });
  dropSlowReaders(server, limits);
  const client = await connectTo(server, cleanup);
  client.write('GET / HTTP/1.0\r\n\r\n');
  return { client, response: await responding.promise };
}

const CHUNK = Buffer.alloc(64 * 1_024);
const chunks = (count: number) => () => Readable.from(Array(count).fill(CHUNK), { objectMode: false });

test('a client that stops reading loses its connection', async () => {
  const { client, response } = await download(chunks(4_000));
  client.pause();
  await once(response, 'close');
  expect(response.writableFinished).toBe(false);
});

test('a client that drips loses its connection', async () => {
  const { client, response } = await download(chunks(4_000));
  let taken = 0;
  client.on('data', (piece) => {
    taken += piece.length;
    client.pause();
  });
  const drip = setInterval(() => client.resume(), 10);
  cleanup.defer(() => clearInterval(drip));
  await once(response, 'close');
  expect(response.writableFinished).toBe(false);
  expect(taken).toBeGreaterThan(0);
});

test('a client that reads fast enough, or waits for the server, gets the whole body', async () => {
  async function* late(): AsyncGenerator<Buffer> {
    yield CHUNK;
    // Longer than the window: this client waits for the server.
    await new Promise((resolve) => setTimeout(resolve, 3 * LIMITS.windowMs));
    yield CHUNK;
  }
  for (const [body, count] of [
    [chunks(400), 400],
    [() => Readable.from(late(), { objectMode: false }), 2],
  ] as const) {
    const { client } = await download(body);
    let taken = 0;
    client.on('data', (piece) => {
      taken += piece.length;
    });
    await once(client, 'close');
    expect(taken).toBeGreaterThanOrEqual(count * CHUNK.length);
  }
});

test('a client that reads one large body slowly but steadily gets all of it', async () => {
  const bytes = Buffer.alloc(32 * 1_024 * 1_024);
  const limits = { leastBytesPerSecond: 500_000, windowMs: 300, checkEveryMs: 20 };
  const { client } = await download(() => inPieces(bytes), limits);
  let taken = 0;
  client.on('data', (piece) => {
    taken += piece.length;
    client.pause();
    setTimeout(() => client.resume(), 2);
  });
  await once(client, 'close');
  expect(taken).toBeGreaterThanOrEqual(bytes.length);
});

test('a client that reads nothing while several requests wait for their responses loses its connection', async () => {
  const responses: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    responses.push(response);
    chunks(400)().pipe(response);
  });
  dropSlowReaders(server, LIMITS);
  const client = await connectTo(server, cleanup);
  client.pause();
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3));
  const [socket] = (await once(server, 'connection')) as [Socket];
  await once(socket, 'close');
  expect(responses.length).toBeGreaterThan(1);
});
