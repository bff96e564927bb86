import { once } from 'node:events';
import type { RequestListener, ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { openHttpListener } from './http-listener.ts';
import { REFUSAL_WAITS } from './late-refusal.ts';
import type { ProblemPage } from './problem.ts';
import { createPublicUrls } from './public-urls.ts';
import { REQUEST_LIMITS, type RequestLimits } from './request-limits.ts';

const MAX = 5;

let cleanup = new AsyncDisposableStack();
afterEach(async () => {
  await cleanup.disposeAsync();
  cleanup = new AsyncDisposableStack();
});

async function listen(
  handle: RequestListener,
  part: Partial<RequestLimits> = {},
  options: { maxConnections: number; pageOf?: ProblemPage } = { maxConnections: MAX },
) {
  const limits = { ...REQUEST_LIMITS, drainMs: 0, ...part };
  const urls = createPublicUrls(() => 'https://api.example.com/v1');
  const listener = cleanup.adopt(
    await openHttpListener(handle, 0, '127.0.0.1', limits, { urls, ...options }),
    (open) => open.close(),
  );
  return async (): Promise<Socket> => {
    const socket = connect(listener.port, '127.0.0.1');
    cleanup.defer(() => void socket.destroy());
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  };
}

const replyOf = async (socket: Socket, path = '/'): Promise<string> => {
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const [reply] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => ['closed'])]);
  return String(reply).slice(0, 12);
};

test('idle connections keep nobody out: a new one replaces the longest idle of those that are more', async () => {
  const open = await listen((_request, response) => response.end('yes'));
  const kept = await open();
  expect(await replyOf(kept)).toBe('HTTP/1.1 200');
  const silent: Socket[] = [];
  for (let n = 1; n < MAX; n += 1) silent.push(await open());
  silent[0]?.write('GET / HTTP/1.1\r\nX-Slow: ');
  // Those that ask nothing, or do not end their headers, replace one another.
  for (const longest of silent.slice(0, 2)) {
    // What it sent is not read, so the closing may reset it.
    const gone = new Promise((resolve) => longest.once('close', resolve));
    await open();
    await gone;
  }
  expect(await replyOf(kept)).toBe('HTTP/1.1 200');
  const gone = once(silent[2] as Socket, 'close');
  expect(await replyOf(await open())).toBe('HTTP/1.1 200');
  await gone;
});

test('connections that were served and then ask nothing replace one another too, and keep nobody out', async () => {
  const open = await listen((_request, response) => response.end('yes'));
  const served: Socket[] = [];
  for (let n = 0; n < MAX; n += 1) {
    const socket = await open();
    expect(await replyOf(socket)).toBe('HTTP/1.1 200');
    served.push(socket);
  }
  const gone = once(served[0] as Socket, 'close');
  expect(await replyOf(await open())).toBe('HTTP/1.1 200');
  await gone;
});

test('a connection that sends requests without waiting for responses is closed late, and only some are handled', async () => {
  let handled = 0;
  const open = await listen(() => {
    handled += 1;
  });
  const socket = await open();
  const gone = new Promise((resolve) => socket.once('close', resolve));
  const startedMs = performance.now();
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(17));
  // What is sent meanwhile is not read. The closing may reset it.
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(10_000));
  await gone;
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(REQUEST_LIMITS.refusalMs / 2 - 1);
  expect(handled).toBe(16);
});

test('connections that are refused unread are ended late, and keep nobody out meanwhile', async () => {
  const open = await listen((_request, response) => response.end('yes'));
  const refused = await Promise.all(Array.from({ length: MAX }, open));
  const startedMs = performance.now();
  const ends = refused.map(async (socket) => {
    const reply = await text(socket).catch(() => '');
    return { reply, isLate: performance.now() - startedMs >= REQUEST_LIMITS.refusalMs / 2 - 1 };
  });
  // Some clients close their side once they have sent everything.
  for (const socket of refused) socket.end('nothing of HTTP\r\n\r\n');
  expect(await replyOf(await open())).toBe('HTTP/1.1 200');
  const [replaced, ...others] = (await Promise.all(ends)).toSorted((a, b) => a.reply.length - b.reply.length);
  expect(replaced).toMatchObject({ reply: '' });
  for (const { reply, isLate } of others) {
    expect(reply).toMatch(/^HTTP\/1.1 400 .*application\/problem\+json/s);
    expect(isLate).toBe(true);
  }
});

test('connections with running requests stay open, and one more is refused', async () => {
  const finishers: (() => void)[] = [];
  const open = await listen((_request, response) => finishers.push(() => response.end('yes')));
  const busy: Promise<string>[] = [];
  for (let n = 0; n < MAX; n += 1) {
    const socket = await open();
    busy.push(replyOf(socket));
    while (finishers.length <= n) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await replyOf(await open())).toBe('closed');
  for (const finish of finishers) finish();
  expect(await Promise.all(busy)).toEqual(Array(MAX).fill('HTTP/1.1 200'));
});

test('connections whose refusal is only delayed keep nobody out', async () => {
  const delayed: ServerResponse[] = [];
  const open = await listen((request, response) => {
    if (request.url === '/served') {
      response.end('yes');
      return;
    }
    response.emit(REFUSAL_WAITS);
    delayed.push(response);
  });
  const refused = await Promise.all(Array.from({ length: MAX }, open));
  for (const socket of refused) socket.write('GET /refused HTTP/1.1\r\nHost: x\r\n\r\n');
  while (delayed.length < MAX) await new Promise((resolve) => setImmediate(resolve));
  const gone = once(refused[0] as Socket, 'close');
  expect(await replyOf(await open(), '/served')).toBe('HTTP/1.1 200');
  await gone;
  expect(delayed.filter(({ destroyed }) => destroyed)).toHaveLength(1);
});

test('connections that run out of time together are refused a few at a time, between which others are served', async () => {
  const count = 60;
  const perTurn = new Map<number, number>();
  let turn = 0;
  const pageOf: ProblemPage = () => {
    perTurn.set(turn, (perTurn.get(turn) ?? 0) + 1);
    return undefined;
  };
  let isOver = false;
  const countTurns = () => {
    turn += 1;
    if (!isOver) setImmediate(countTurns);
  };
  const open = await listen(
    (_request, response) => response.end('yes'),
    { headersMs: 500, checkEveryMs: 100 },
    { maxConnections: 2 * count, pageOf },
  );
  const silent = await Promise.all(Array.from({ length: count }, open));
  const gone = silent.map((socket) => once(socket.resume(), 'close'));
  countTurns();
  await Promise.all(gone);
  isOver = true;
  const counts = [...perTurn.values()];
  expect(counts.reduce((sum, each) => sum + each)).toBe(count);
  expect(Math.max(...counts)).toBeLessThanOrEqual(5);
});

const CHUNKED = 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';

test.each([
  ['comes in chunks of a byte', '1\r\nx\r\n'.repeat(5_000), 400, 'Send it in larger chunks'],
  ['has extensions of chunks without an end', `1;${'x'.repeat(20_000)}`, 413, 'extensions of chunks'],
  ['is not framed as it says', 'zz\r\n', 400, 'not valid HTTP'],
])(
  'a body that %s is refused while it is read, with a problem that says why',
  async (_what, body, status, why) => {
    const open = await listen((request) => request.resume());
    const socket = await open();
    socket.write(`${CHUNKED}${body}`);
    const reply = await text(socket);
    expect(reply).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(reply).toMatch(/^content-type: application\/problem\+json/im);
    expect(JSON.parse(reply.split('\r\n\r\n')[1] ?? '')).toMatchObject({
      status,
      detail: expect.stringContaining(why),
    });
  },
);

test.each([
  ['has begun', (response: ServerResponse) => response.write('begun')],
  ['was sent before its body had arrived', (response: ServerResponse) => response.end('sent')],
])('a response that %s is not followed by a problem', async (_what, respond) => {
  const open = await listen((_request, response) => void respond(response));
  const socket = await open();
  socket.write(CHUNKED);
  const [first] = await once(socket, 'data');
  socket.write('zz\r\n');
  expect(`${first}${await text(socket).catch(() => '')}`).not.toContain('problem');
});

test.each([
  ['is read', 'yes', /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK\r\n.*keep-alive.*read 3$/s],
  ['is refused unread', 'no', /^HTTP\/1.1 413 .*Connection: close.*refused/s],
])('a client that waits is asked for a body that %s accordingly', async (_what, path, expected) => {
  const open = await listen((request, response) => {
    if (request.url === '/no') {
      response.writeHead(413).end('refused');
      return;
    }
    request.once('data', (bytes: Buffer) => response.end(`read ${bytes.length}`));
  });
  const socket = await open();
  socket.write(`POST /${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n`);
  let reply = '';
  for await (const bytes of socket) {
    reply += bytes;
    if (reply.endsWith('Continue\r\n\r\n')) socket.write('abc');
    if (reply.endsWith('read 3')) break;
  }
  expect(reply).toMatch(expected);
});

test('a method and an expectation that Node has no response for get one', async () => {
  const open = await listen((_request, response) => response.end('yes'));
  const connecting = await open();
  connecting.write('CONNECT api.example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n');
  expect(await text(connecting)).toMatch(/^HTTP\/1.1 400 .*No path supports CONNECT/s);
  const expecting = await open();
  expecting.write('GET / HTTP/1.1\r\nHost: x\r\nExpect: something\r\nConnection: close\r\n\r\n');
  expect(await text(expecting)).toMatch(/^HTTP\/1.1 200 .*yes/s);
});
