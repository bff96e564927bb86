import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { REQUEST_LIMITS } from '../../../services/api/http/request-limits.ts';
import { openTestApi, type TestApi } from '../../support/api-server.ts';
import { waitFor } from '../../support/wait-for.ts';

let api: TestApi;
let key: string;
beforeAll(async () => {
  const requestLimits = {
    ...REQUEST_LIMITS,
    headersMs: 300,
    checkEveryMs: 50,
    jsonBodyMs: 300,
    entryFormMs: 300,
    // Longer than this process stands still on a busy machine.
    uploadIdleMs: 4_000,
    lingerMs: 100,
    drainMs: 0,
  };
  const readerLimits = { leastBytesPerSecond: 10_000, windowMs: 400, checkEveryMs: 50 };
  api = await openTestApi({ requestLimits, readerLimits });
  key = (await api.account()).key;
});
afterAll(() => api[Symbol.asyncDispose]());

interface Slow {
  readonly sent: ClientRequest;
  /** Set once there is an answer. */
  answer:
    | { status: number | undefined; type: string | undefined; json: { code?: string; items?: number } }
    | undefined;
}

/** A request whose body the test sends bit by bit. */
const begin = (path: string, type: string): Slow => {
  const headers = { authorization: `Bearer ${key}`, 'content-type': type, origin: api.url };
  const sent = request(`${api.url}${path}`, { method: 'POST', headers, agent: false });
  const slow: Slow = { sent, answer: undefined };
  sent.on('response', async (response: IncomingMessage) => {
    const json = JSON.parse(await text(response)) as { code?: string; items?: number };
    slow.answer = { status: response.statusCode, type: response.headers['content-type'], json };
  });
  // The connection of a refused request is closed under what is still sent.
  sent.on('error', () => undefined);
  sent.flushHeaders();
  return slow;
};

const TIMED_OUT = {
  status: 408,
  type: 'application/problem+json; charset=utf-8',
  json: { code: 'timed_out' },
};

test('an upload that is slow but steady goes on for longer than a JSON body may take', async () => {
  const upload = begin('/bulk/files', 'text/plain');
  let lines = 0;
  for (const body of ['{', '{"resource":', '{"resource":"invoices"']) {
    const stalled = begin('/exports', 'application/json');
    stalled.sent.write(body);
    const answer = await waitFor('the JSON body to be cut', () => {
      upload.sent.write(`${lines}\n`);
      lines += 1;
      return stalled.answer;
    });
    expect(answer).toMatchObject(TIMED_OUT);
  }
  expect(upload.answer).toBeUndefined();
  upload.sent.end();
  expect(await waitFor('the upload', () => upload.answer)).toMatchObject({
    status: 201,
    json: { items: lines },
  });
});

test('an upload that stands still is cut, and nothing of it is kept', async () => {
  const upload = begin('/bulk/files', 'text/plain');
  upload.sent.write('1\n2\n');
  expect(await waitFor('the upload to be cut', () => upload.answer)).toMatchObject(TIMED_OUT);
  const files: string[] = [];
  for await (const { path } of api.storage.list('bulk-files')) files.push(path);
  expect(files).toHaveLength(1);
});

/** What the api sends to a client that writes this and no more, until the api closes the connection. */
const sendRaw = async (head: string) => {
  const socket = connect(Number(new URL(api.url).port), '127.0.0.1');
  socket.write(head);
  const answer = await text(socket);
  socket.destroy();
  return answer;
};

test('headers that do not end are answered with a problem', async () => {
  const answer = await sendRaw('POST /exports HTTP/1.1\r\nHost: api\r\nX-Slow: ');
  expect(answer).toMatch(/^HTTP\/1.1 408 /);
  expect(answer).toMatch(/^content-type: application\/problem\+json/im);
  expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ status: 408, code: 'timed_out' });
});

test('what is no HTTP, or has headers beyond all measure, is answered with a problem', async () => {
  expect(await sendRaw('HELLO\r\n\r\n')).toMatch(/^HTTP\/1.1 400 .*"code":"malformed"/s);
  const large = `GET / HTTP/1.1\r\nHost: api\r\nX-Large: ${'x'.repeat(20_000)}\r\n\r\n`;
  expect(await sendRaw(large)).toMatch(/^HTTP\/1.1 431 .*"code":"headers_too_large"/s);
});

test('a body that nobody reads holds its connection no longer than a moment after the answer', async () => {
  const head = 'GET /healthz HTTP/1.1\r\nHost: api\r\nContent-Length: 100\r\n\r\nsome of it';
  expect(await sendRaw(head)).toMatch(/^HTTP\/1.1 200 /);
});

test.each(['login', 'enter'])('a form to %s is small, and arrives at once', async (form) => {
  const type = 'application/x-www-form-urlencoded';
  const head = `POST /dashboard/${form} HTTP/1.1\r\nHost: api\r\nOrigin: ${api.url}\r\nContent-Type: ${type}`;
  expect(await sendRaw(`${head}\r\nContent-Length: 60000\r\n\r\ncode=`)).toMatch(/^HTTP\/1.1 413 /);
  const slow = begin(`/dashboard/${form}`, type);
  const answer = await waitFor('the form to be cut', () => {
    slow.sent.write('a');
    return slow.answer;
  });
  expect(answer).toMatchObject(TIMED_OUT);
});

test.each([
  ['a document', '/openapi.json', 16],
  ['a page', '/docs', 16],
])('a client that asks for %s and reads nothing loses its connection', async (_what, path, count) => {
  const socket = connect(Number(new URL(api.url).port), '127.0.0.1');
  let isGone = false;
  socket.on('error', () => {
    isGone = true;
  });
  socket.pause();
  const one = `GET ${path} HTTP/1.1\r\nHost: api\r\n\r\n`;
  socket.write(one.repeat(count));
  await waitFor('the connection to be closed', () => {
    socket.write(one);
    return isGone;
  });
  socket.destroy();
});

test('a large answer is sent with its length', async () => {
  const whole = await api.call('GET', '/openapi.json');
  expect(whole.headers.get('content-length')).toBe(String(Buffer.byteLength(whole.text)));
});
