import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { connectTo } from '../../../test/support/connect-to.ts';
import { createPieceGatherer, type SmallPiecesError } from './body-pieces.ts';
import { parseInSlices } from './parse-in-slices.ts';

let cleanup = new AsyncDisposableStack();
afterEach(async () => {
  await cleanup.disposeAsync();
  cleanup = new AsyncDisposableStack();
});

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

/** @returns a connection to a server that gathers the pieces of what it is sent */
async function connected(handle: Handle, refuse: (error: SmallPiecesError) => void = fail): Promise<Socket> {
  const pieces = createPieceGatherer();
  const server = createServer((request, response) => {
    pieces.gather(request, refuse);
    handle(request, response);
  });
  parseInSlices(server, pieces.bytesLeft);
  return connectTo(server, cleanup);
}

function fail(error: Error): never {
  throw error;
}

const HEAD = 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;

test('a body arrives as it was sent, whatever its pieces', async () => {
  const bodies = Promise.withResolvers<string>();
  let received = bodies;
  const socket = await connected((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.once('end', () => {
      received.resolve(Buffer.concat(pieces).toString('latin1'));
      response.end();
    });
  });
  socket.resume();
  const pieces = fc.array(
    fc.integer({ min: 1, max: 9_000 }).map((size) => String.fromCharCode(97 + (size % 26)).repeat(size)),
    { maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(pieces, async (texts) => {
      received = Promise.withResolvers<string>();
      socket.write(`${HEAD}${texts.map(chunk).join('')}0\r\n\r\n`);
      expect(await received.promise).toBe(texts.join(''));
    }),
  );
});

test('thousands of small chunks that come at once are a few pieces for whoever reads them', async () => {
  let count = 0;
  const ended = Promise.withResolvers<void>();
  const socket = await connected((request) => {
    request.on('data', () => {
      count += 1;
    });
    request.once('end', () => ended.resolve());
  });
  socket.write(`${HEAD}${chunk('12345\n').repeat(3_000)}0\r\n\r\n`);
  await ended.promise;
  expect(count).toBeLessThan(30);
});

test('a body that nobody reads is held in few bytes, and its client has to wait', async () => {
  const begun = Promise.withResolvers<IncomingMessage>();
  const socket = await connected((request) => begun.resolve(request));
  const lines = chunk('12345678\n').repeat(100_000);
  socket.write(HEAD);
  const request = await begun.promise;
  // The client's buffer fills up once the server has stopped to read.
  while (socket.writableLength < 8 * 1_024 * 1_024) {
    socket.write(lines);
    await setImmediate();
  }
  expect(request.readableLength).toBeLessThan(4 * request.readableHighWaterMark);
  let bytes = 0;
  request.on('data', (piece: Buffer) => {
    bytes += piece.length;
  });
  socket.write('0\r\n\r\n');
  await once(request, 'end');
  expect(bytes % 900_000).toBe(0);
  expect(bytes).toBeGreaterThan(8 * 1_024 * 1_024 * (9 / 14) * 0.9);
});

test('a body in pieces of a byte is refused, and one of many short lines is not', async () => {
  const refused = Promise.withResolvers<SmallPiecesError>();
  let bytes = 0;
  const socket = await connected(
    (request) =>
      request.on('data', (piece: Buffer) => {
        bytes += piece.length;
      }),
    (error) => refused.resolve(error),
  );
  socket.write(`${HEAD}${chunk('1234\n').repeat(20_000)}`);
  socket.write(chunk('1').repeat(200_000));
  expect((await refused.promise).message).toContain('less than 4 bytes');
  expect(bytes).toBeGreaterThanOrEqual(100_000);
});
