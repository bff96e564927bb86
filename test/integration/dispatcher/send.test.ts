import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { limitAnswers } from '../../../services/dispatcher/send/limit-answers.ts';
import { createGotSender } from '../../../services/dispatcher/send/send-with-got.ts';
import { createUndiciSender } from '../../../services/dispatcher/send/send-with-undici.ts';
import { describeSender } from '../../contract/describe-sender.ts';

describeSender('a sender made with got', createGotSender);
describeSender('a sender made with undici', createUndiciSender);

/** What the network may bring in one piece, and so before anybody can say that it is enough. */
const PIECE_BYTES = 64 * 1_024;

test.each([
  ['an extension of a chunk', 'transfer-encoding: chunked\r\n\r\n2;', 'x'],
  ['chunks of one byte', 'transfer-encoding: chunked\r\n\r\n', '1\r\nx\r\n'],
  ['a body', '\r\n', 'x'],
])('of %s without an end some pieces are read, whatever is left of it', async (_what, rest, text) => {
  const head = `HTTP/1.1 200 OK\r\n${rest}`;
  const server = createServer((socket: Socket) => {
    socket.on('error', () => undefined);
    const more = () => {
      while (!socket.destroyed && socket.write(text.repeat(PIECE_BYTES)));
    };
    socket.write(head + text.repeat(PIECE_BYTES));
    socket.on('drain', more);
    more();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  limitAnswers(socket);
  socket.resume();
  const errors: unknown[] = [];
  socket.on('error', (error) => errors.push(error));
  await new Promise((resolve) => socket.once('close', resolve));
  expect(errors).toMatchObject([{ code: 'ERR_ANSWER_OVERSIZED' }]);
  expect(socket.bytesRead).toBeLessThanOrEqual(3 * PIECE_BYTES);
});
