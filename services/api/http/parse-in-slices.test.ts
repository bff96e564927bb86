import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { connectTo } from '../../../test/support/connect-to.ts';
import { createPieceGatherer } from './body-pieces.ts';
import { parseInSlices } from './parse-in-slices.ts';

let cleanup = new AsyncDisposableStack();
afterEach(async () => {
  await cleanup.disposeAsync();
  cleanup = new AsyncDisposableStack();
});

async function connected(handle: RequestListener): Promise<Socket> {
  const server = createServer();
  const { gather, bytesLeft } = createPieceGatherer();
  parseInSlices(server, bytesLeft);
  server.on('request', (request, response) => {
    if (request.method === 'POST') gather(request, (error) => request.destroy(error));
    handle(request, response);
  });
  return connectTo(server, cleanup);
}

test('of thousands of requests that come at once few are parsed once the connection is closed', async () => {
  let count = 0;
  const socket = await connected(({ socket: served }) => {
    count += 1;
    served.destroy();
  });
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2_000));
  await once(socket, 'close');
  expect(count).toBeLessThan(100);
});

test('a body whose length is known is not cut', async () => {
  const sizes: number[] = [];
  const ended = Promise.withResolvers<void>();
  const socket = await connected((request) => {
    request.on('data', ({ length }: Buffer) => sizes.push(length)).once('end', () => ended.resolve());
  });
  const bytes = 1_000_000;
  socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n${'x'.repeat(bytes)}`);
  await ended.promise;
  expect(sizes.reduce((sum, size) => sum + size)).toBe(bytes);
  expect(sizes.length).toBeLessThan(200);
});

const requests = fc.array(
  fc.record({
    kind: fc.constantFrom('none', 'whole', 'chunked', 'unread'),
    bytes: fc.integer({ min: 1, max: 100_000 }),
    chunk: fc.integer({ min: 5, max: 9_000 }),
  }),
  { minLength: 1, maxLength: 8 },
);

test('requests and bodies that come in any pieces are served as they were sent, in their order', async () => {
  const bodyOf = async (request: IncomingMessage) => (await buffer(request)).length;
  const socket = await connected(async (request, response) => {
    const length = request.url === '/unread' ? 0 : await bodyOf(request);
    request.resume();
    response.setHeader('x-read', `${request.url}=${length};`).end();
  });
  let replies = '';
  socket.on('data', (bytes: Buffer) => {
    replies += bytes.toString('latin1');
  });
  const read = () => [...replies.matchAll(/x-read: ([^;]*);/gi)].map(([, each]) => each);
  await fc.assert(
    fc.asyncProperty(requests, fc.integer({ min: 500, max: 70_000 }), async (sent, packet) => {
      replies = '';
      const text = sent
        .map(({ kind, bytes, chunk }) => {
          const head = `${kind === 'none' ? 'GET' : 'POST'} /${kind} HTTP/1.1\r\nHost: x\r\n`;
          if (kind === 'none') return `${head}\r\n`;
          if (kind !== 'chunked') return `${head}Content-Length: ${bytes}\r\n\r\n${'x'.repeat(bytes)}`;
          const chunks = Array.from({ length: Math.ceil(bytes / chunk) }, (_, n) =>
            Math.min(chunk, bytes - n * chunk),
          );
          const body = chunks.map((size) => `${size.toString(16)}\r\n${'y'.repeat(size)}\r\n`).join('');
          return `${head}Transfer-Encoding: chunked\r\n\r\n${body}0\r\n\r\n`;
        })
        .join('');
      for (let at = 0; at < text.length; at += packet) socket.write(text.slice(at, at + packet), 'latin1');
      while (read().length < sent.length) await once(socket, 'data');
      expect(read()).toEqual(
        sent.map(({ kind, bytes }) => `/${kind}=${kind === 'none' || kind === 'unread' ? 0 : bytes}`),
      );
    }),
    { numRuns: 40 },
  );
});
