import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type ConnectionCheck,
  createConnectionCheck,
} from '../../services/dispatcher/send/connection-check.ts';
import {
  EXCERPT_BYTES,
  type Send,
  type Sender,
  type SenderConfig,
  type SendOutcome,
} from '../../services/dispatcher/send/send.ts';
import { parseCidr } from '../../shared/domain/address-rules.ts';

/** A raw server, because most of what must be endured is not proper HTTP. */
async function openServer(onConnection: (socket: Socket) => void): Promise<{ server: Server; url: string }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

const LOOPBACK = [parseCidr('127.0.0.0/8')];
/** Where the deadline is not what is tried: longer than a busy machine stands still. */
const PATIENT_MS = 60_000;
const TIMEOUT_MS = 400;
/** Where it is, and what comes before it counts. */
const LONG_TIMEOUT_MS = 1_500;

/** What every implementation of `Send` must do. `create` gets the deadline, and what says where it may connect. */
export function describeSender(
  name: string,
  create: (config: SenderConfig, check: ConnectionCheck) => Sender,
): void {
  describe(name, () => {
    const cleanup: (() => void)[] = [];
    afterEach(() => {
      for (const close of cleanup.splice(0)) close();
    });

    /** Answers each request with these raw bytes, and counts them. */
    const serve = async (onRequest: (socket: Socket, count: number) => unknown) => {
      const seen = { requests: 0, text: '', connections: 0, closed: 0 };
      const sockets: Socket[] = [];
      const { server, url } = await openServer((socket) => {
        seen.connections += 1;
        sockets.push(socket);
        socket.on('close', () => {
          seen.closed += 1;
        });
        socket.on('data', (data) => {
          seen.text += data.toString();
          if (!data.toString().endsWith('END')) return;
          seen.requests += 1;
          onRequest(socket, seen.requests);
        });
      });
      cleanup.push(() => {
        server.close();
        for (const socket of sockets) socket.destroy();
      });
      return { url, seen };
    };

    const sender = (allow = LOOPBACK, check = createConnectionCheck(allow), timeoutMs = PATIENT_MS) => {
      const { send, close } = create({ timeoutMs }, check);
      cleanup.push(() => void close());
      return send;
    };
    const hasty = (timeoutMs = TIMEOUT_MS) => sender(LOOPBACK, createConnectionCheck(LOOPBACK), timeoutMs);
    const post = (send: Send, url: string, signal?: AbortSignal): Promise<SendOutcome> =>
      send({
        url,
        headers: { 'content-type': 'application/json', 'webhook-id': 'evt_1' },
        body: Buffer.from('{"żółć":1} END'),
        ...(signal === undefined ? {} : { signal }),
      });
    const errorClass = (outcome: SendOutcome) => (outcome.kind === 'failed' ? outcome.errorClass : outcome);

    test('the body arrives byte for byte, once, with its length', async () => {
      const { url, seen } = await serve((socket) => socket.write('HTTP/1.1 204 No Content\r\n\r\n'));
      expect(await post(sender(), url)).toMatchObject({ kind: 'answered', status: 204, excerpt: '' });
      expect(seen.text).toContain('\r\n\r\n{"żółć":1} END');
      expect(seen.text.toLowerCase()).toContain('content-length: 18');
      expect(seen.text.toLowerCase()).not.toContain('accept-encoding');
      expect(seen.requests).toBe(1);
    });

    test('a connection is used again', async () => {
      const { url, seen } = await serve((socket) =>
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'),
      );
      const send = sender();
      for (let n = 0; n < 3; n++) expect(await post(send, url)).toMatchObject({ status: 200, excerpt: 'ok' });
      expect(seen).toMatchObject({ requests: 3, connections: 1 });
    });

    test('a kept connection that the receiver was closing is not a failure', async () => {
      const { url, seen } = await serve((socket, count) => {
        if (count === 2) socket.resetAndDestroy();
        else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      });
      const send = sender();
      await post(send, url);
      expect(await post(send, url)).toMatchObject({ status: 200 });
      expect(seen.connections).toBe(2);
    });

    test('a kept connection that dies late leaves the repeat only the rest of the time', async () => {
      const { url } = await serve((socket, count) => {
        if (count === 1) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
        if (count === 2) setTimeout(() => socket.resetAndDestroy(), 0.7 * LONG_TIMEOUT_MS);
      });
      const send = hasty(LONG_TIMEOUT_MS);
      await post(send, url);
      const outcome = await post(send, url);
      expect(errorClass(outcome)).toBe('timeout');
      expect(outcome.durationMs).toBeLessThan(1.6 * LONG_TIMEOUT_MS);
    });

    test('requests that get no answer hold up no other request to the same server', async () => {
      const { url, seen } = await serve((socket, count) => {
        if (count > 5) socket.write('HTTP/1.1 204 No Content\r\n\r\n');
      });
      const send = hasty(LONG_TIMEOUT_MS);
      const waiting = Array.from({ length: 5 }, () => post(send, url));
      await expect.poll(() => seen.requests).toBe(5);
      expect(await post(send, url)).toMatchObject({ status: 204 });
      expect((await Promise.all(waiting)).map(errorClass)).toEqual(Array(5).fill('timeout'));
    });

    test.each([100, 102, 103, 199])('%i is an interim answer, and not the answer', async (interim) => {
      const text = `HTTP/1.1 ${interim} Wait\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok`;
      const { url, seen } = await serve(async (socket, count) => {
        if (count === 1) socket.write(text);
        // Whatever is cut where, it is the same answer.
        else for (const byte of text) await new Promise((written) => socket.write(byte, written));
      });
      const send = sender();
      for (let n = 0; n < 2; n++) expect(await post(send, url)).toMatchObject({ status: 200, excerpt: 'ok' });
      expect(seen.connections).toBe(1);
    });

    /** Answers with the head, then pours the text out until nobody takes it any more. */
    const pour = (head: string, text: string) =>
      serve((socket) => {
        socket.write(head);
        const more = () => {
          while (!socket.destroyed && socket.write(text.repeat(1_000)));
        };
        socket.on('drain', more);
        more();
      });
    const CHUNKED = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';

    test.each([
      ['interim answers', '', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
      ['headers of an interim answer', 'HTTP/1.1 103 Early Hints\r\n', 'a: b\r\n'],
      ['headers', 'HTTP/1.1 200 OK\r\n', 'a: b\r\n'],
      ['bytes of one header', 'HTTP/1.1 200 OK\r\na: ', 'x'],
      ['bytes of the status line', 'HTTP/1.1 200 ', 'x'],
      ['line breaks before an answer', '', '\r\n'],
    ])('an answer with %s without an end is broken off', async (_what, head, text) => {
      const { url } = await pour(head, text);
      expect(errorClass(await post(sender(), url))).toBe('oversized');
    });

    test.each([
      ['an extension of a chunk', `${CHUNKED}2;`, 'x'],
      ['chunks of one byte', CHUNKED, '1\r\nx\r\n'],
      ['trailers', `${CHUNKED}0\r\n`, 'a: b\r\n'],
    ])('%s without an end is broken off, and the status counts', async (_what, head, text) => {
      const { url } = await pour(head, text);
      expect(await post(sender(), url)).toMatchObject({ status: 200 });
    });

    test('an answer that comes in thousands of pieces is broken off', async () => {
      const { url } = await serve((socket) => {
        socket.setNoDelay(true);
        socket.write('HTTP/1.1 200 OK\r\na: ');
        const drip = () => {
          if (!socket.destroyed) socket.write('x', () => setImmediate(drip));
        };
        drip();
      });
      expect(errorClass(await post(sender(), url))).toBe('oversized');
    });

    test('another answer behind the answer is nobody’s', async () => {
      const answer = (status: number) => `HTTP/1.1 ${status} So\r\ncontent-length: 0\r\n\r\n`;
      const { url, seen } = await serve((socket, count) => {
        if (count === 1) socket.write(answer(201) + answer(500));
        if (count === 2) socket.write(answer(202), () => setImmediate(() => socket.write(answer(500))));
        if (count === 3) socket.write(answer(203));
      });
      const send = sender();
      expect(await post(send, url)).toMatchObject({ status: 201 });
      expect(await post(send, url)).toMatchObject({ status: 202 });
      await expect.poll(() => seen.closed).toBe(2);
      expect(await post(send, url)).toMatchObject({ status: 203 });
    });

    test('an answer that changes to another protocol is none', async () => {
      const { url } = await serve((socket) =>
        socket.write('HTTP/1.1 101 So\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
      );
      expect(errorClass(await post(sender(), url))).toBe('protocol');
    });

    test.each([301, 302, 303, 307, 308])('%i is an answer, and its target is never asked', async (status) => {
      const { url, seen } = await serve((socket) =>
        socket.write(`HTTP/1.1 ${status} Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n`),
      );
      expect(await post(sender(), url)).toMatchObject({ kind: 'answered', status });
      expect(seen.requests).toBe(1);
    });

    test('Retry-After is handed on as it came', async () => {
      const { url } = await serve((socket) =>
        socket.write('HTTP/1.1 503 Busy\r\nretry-after: 3\r\ncontent-length: 4\r\n\r\nbusy'),
      );
      expect(await post(sender(), url)).toMatchObject({ status: 503, retryAfter: '3', excerpt: 'busy' });
    });

    test('headers of an answer are kept within limits, without secrets', async () => {
      const many = Array.from({ length: 50 }, (_, n) => `x-${n}: ${'v'.repeat(250)}\r\n`).join('');
      const { url } = await serve((socket) =>
        socket.write(
          `HTTP/1.1 200 OK\r\nX-Trace: \xf0\x9f\r\nset-cookie: a=1\r\n${many}content-length: 2\r\n\r\nok`,
          'latin1',
        ),
      );
      const outcome = await post(sender(), url);
      if (outcome.kind === 'failed') throw new Error(outcome.message);
      const { headers, omittedCount } = outcome.headers;
      expect(headers['set-cookie']).toBe('[hidden]');
      expect(headers['x-0']).toBe(`${'v'.repeat(200)}…`);
      expect(omittedCount).toBeGreaterThan(30);
      expect(JSON.stringify(headers).length).toBeLessThan(3_000);
      expect(outcome.isCut).toBe(false);
    });

    test('an answer without an end is cut off, and its status counts', async () => {
      const { url } = await serve((socket) => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        const pour = () => {
          while (!socket.destroyed && socket.write('x'.repeat(4_096)));
        };
        socket.on('drain', pour);
        pour();
      });
      const outcome = await post(sender(), url);
      expect(outcome).toMatchObject({ kind: 'answered', status: 200 });
      expect(outcome.kind === 'answered' && outcome.excerpt.length).toBe(EXCERPT_BYTES);
      expect(outcome).toMatchObject({ isCut: true });
    });

    test('a compressed answer is not unpacked', async () => {
      const bomb = gzipSync(Buffer.alloc(10_000_000));
      const { url } = await serve((socket) => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n\r\n`);
        socket.write(bomb);
      });
      const outcome = await post(sender(), url);
      expect(outcome).toMatchObject({ kind: 'answered', status: 200 });
      expect(outcome.kind === 'answered' && outcome.excerpt.startsWith('\x1f')).toBe(true);
    });

    test('silence, and an answer that drips, end at the deadline', async () => {
      const silent = await serve(() => undefined);
      expect(errorClass(await post(hasty(), silent.url))).toBe('timeout');
      const dripping = await serve((socket) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n');
        const drip = setInterval(() => socket.write('x'), 20);
        socket.on('close', () => clearInterval(drip));
      });
      expect(errorClass(await post(hasty(), dripping.url))).toBe('timeout');
    });

    test('a reset before and in the middle of an answer', async () => {
      const before = await serve((socket) => socket.resetAndDestroy());
      expect(errorClass(await post(sender(), before.url))).toBe('reset');
      const amid = await serve((socket) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf', () => socket.destroy());
      });
      expect(errorClass(await post(sender(), amid.url))).toBe('reset');
    });

    test('what came before the deadline counts, though this process stood still and sees it after', async () => {
      const standStill = () => {
        const untilMs = performance.now() + 1.2 * LONG_TIMEOUT_MS;
        while (performance.now() < untilMs);
      };
      const reset = await serve((socket) => {
        socket.resetAndDestroy();
        standStill();
      });
      expect(errorClass(await post(hasty(LONG_TIMEOUT_MS), reset.url))).toBe('reset');
      const answering = await serve((socket) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
        standStill();
      });
      expect(await post(hasty(LONG_TIMEOUT_MS), answering.url)).toMatchObject({ status: 200 });
      const plain = await openServer((socket) =>
        socket.once('data', () => {
          socket.write('hello');
          standStill();
        }),
      );
      cleanup.push(() => plain.server.close());
      const send = hasty(LONG_TIMEOUT_MS);
      expect(errorClass(await post(send, plain.url.replace('http:', 'https:')))).toBe('tls');
    });

    test('what is not HTTP, what is not TLS, nobody there, no such name, no such URL', async () => {
      const noise = await serve((socket) => socket.write('220 mail.example ESMTP\r\n'));
      expect(errorClass(await post(sender(), noise.url))).toBe('protocol');
      const plain = await openServer((socket) => socket.end('hello'));
      cleanup.push(() => plain.server.close());
      expect(errorClass(await post(sender(), plain.url.replace('http:', 'https:')))).toBe('tls');
      const gone = await openServer(() => undefined);
      gone.server.close();
      expect(errorClass(await post(sender(), gone.url))).toBe('refused');
      expect(errorClass(await post(sender(), 'not a url'))).toBe('invalid_url');
      const noName = createConnectionCheck(LOOPBACK, (_name, _options, callback) =>
        callback(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }), []),
      );
      expect(errorClass(await post(sender(LOOPBACK, noName), 'http://shop.example/'))).toBe('dns');
    });

    test('addresses inside are refused as literals in every spelling, and nothing is connected', async () => {
      const { url, seen } = await serve(() => undefined);
      const port = new URL(url).port;
      const hosts = [
        '127.0.0.1',
        '2130706433',
        '0x7f.1',
        '[::1]',
        '[::ffff:127.0.0.1]',
        '169.254.169.254',
        '10.0.0.1',
      ];
      for (const host of hosts) {
        expect(errorClass(await post(sender([]), `http://${host}:${port}/`))).toBe('address_refused');
      }
      expect(seen.connections).toBe(0);
    });

    test('a name is judged by what it resolves to when connecting', async () => {
      const { url, seen } = await serve((socket) =>
        socket.write('HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n'),
      );
      const answers = ['127.0.0.1', '10.1.2.3'];
      const rebinding = createConnectionCheck(LOOPBACK, (_name, _options, callback) =>
        callback(null, [{ address: answers.shift() ?? '', family: 4 }]),
      );
      const send = sender(LOOPBACK, rebinding);
      const named = url.replace('127.0.0.1', 'shop.example');
      expect(await post(send, named)).toMatchObject({ status: 204 });
      expect(errorClass(await post(send, named))).toBe('address_refused');
      expect(seen.connections).toBe(1);
    });

    test('public addresses are reached on the ports of web servers only', async () => {
      const check = createConnectionCheck([], (_name, _options, callback) =>
        callback(null, [{ address: '93.184.215.14', family: 4 }]),
      );
      expect(errorClass(await post(sender([], check), 'http://shop.example:25/'))).toBe('address_refused');
    });

    test('breaking off ends the request at once', async () => {
      const stop = new AbortController();
      const { url } = await serve(() => stop.abort());
      const outcome = await post(sender(), url, stop.signal);
      expect(errorClass(outcome)).toBe('aborted');
    });
  });
}
