import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { waitFor } from '../../../../test/support/wait-for.ts';
import { json, openLocalServer } from '../test/local-server.ts';
import {
  ApiError,
  ConflictError,
  ConnectionError,
  InvalidError,
  NotFoundError,
  Tandem,
  TandemError,
  TimeoutError,
  TooManyError,
} from './index.ts';
import { readEvents } from './replica-pull.ts';

const KEY = 'tk_very-secret';
const PROBLEM = {
  type: 'urn:tandem:problem:invalid',
  title: 'Invalid request',
  status: 422,
  detail: 'The request is invalid.',
  code: 'invalid',
  errors: [{ pointer: '/resource', detail: 'must be a resource: customers' }],
  request_id: 'req_1',
};

test('a problem is an error of its code, with the fields and the request ID', async () => {
  await using server = await openLocalServer((_, response) => json(response, 422, PROBLEM));
  const client = new Tandem({ baseUrl: server.url, key: KEY });
  const error = await client.exports.create({ resource: 'nothing' }).then(
    () => undefined,
    (each: unknown) => each,
  );
  expect(error).toBeInstanceOf(InvalidError);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({ code: 'invalid', status: 422, requestId: 'req_1', errors: PROBLEM.errors });
  expect(String(error)).toBe(
    'InvalidError: The request is invalid. /resource must be a resource: customers (request req_1)',
  );
  expect(server.requests).toHaveLength(1);
});

test('a creating request keeps its idempotency key over all retries, and honours Retry-After', async () => {
  const startedAtMs = Date.now();
  await using server = await openLocalServer((_, response, count) => {
    if (count === 1) json(response, 503, { code: 'unavailable' }, { 'retry-after': '1' });
    else if (count === 2) response.destroy();
    else json(response, 202, { id: 'exp_1', status: 'pending' });
  });
  const client = new Tandem({ baseUrl: server.url, key: KEY });
  const created = await client.exports.create({ resource: 'invoices' });
  expect(created.id).toBe('exp_1');
  // A clock may be set, and a timer is a millisecond early at times.
  expect(Date.now() - startedAtMs).toBeGreaterThan(900);
  const keys = server.requests.map(({ headers }) => headers['idempotency-key']);
  expect(keys).toHaveLength(3);
  expect(new Set(keys).size).toBe(1);
  expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
  await client.exports.create({ resource: 'invoices' }, { idempotencyKey: 'mine' });
  expect(server.requests.at(-1)?.headers['idempotency-key']).toBe('mine');
});

test('retries end: after their number, at a Retry-After that is too long, and for errors that a repeat cannot help', async () => {
  let status = 429;
  let retryAfter = '0';
  await using server = await openLocalServer((_, response) =>
    json(
      response,
      status,
      { code: status === 429 ? 'too_many' : 'conflict' },
      status === 429 ? { 'retry-after': retryAfter } : {},
    ),
  );
  const client = new Tandem({ baseUrl: server.url, key: KEY, maxRetries: 1, maxWaitMs: 5_000 });
  await expect(client.exports.get('exp_1')).rejects.toThrow(TooManyError);
  expect(server.requests).toHaveLength(2);
  retryAfter = '6';
  await expect(client.exports.get('exp_1')).rejects.toMatchObject({ retryAfterSeconds: 6 });
  expect(server.requests).toHaveLength(3);
  status = 409;
  await expect(client.exports.cancel('exp_1')).rejects.toThrow(ConflictError);
  expect(server.requests).toHaveLength(4);
});

test('a test of an endpoint is not repeated when its response is lost', async () => {
  await using server = await openLocalServer((_, response) => response.destroy());
  const client = new Tandem({ baseUrl: server.url, key: KEY });
  await expect(client.webhooks.test('whk_1')).rejects.toThrow(ConnectionError);
  expect(server.requests).toHaveLength(1);
});

test('a redirect is followed to a file, and elsewhere it is an error that names the address', async () => {
  await using other = await openLocalServer((_, response) =>
    json(response, 200, { data: [], has_more: false }),
  );
  let status = 301;
  await using server = await openLocalServer(({ url }, response) => {
    response.writeHead(status, { location: `${other.url}/moved${url}?signature=x` }).end();
  });
  const client = new Tandem({ baseUrl: server.url, key: KEY });
  // By the rules of `fetch` the creation would become a GET, and the list the new export.
  for (status of [301, 302, 303, 307, 308]) {
    const refused = {
      status,
      code: `http_${status}`,
      message: `The server redirects to ${other.url}/moved/exports. Use the address of the API itself as the base URL.`,
    };
    await expect(client.exports.create({ resource: 'invoices' })).rejects.toMatchObject(refused);
    await expect(client.exports.list().page()).rejects.toMatchObject(refused);
  }
  expect(other.requests).toHaveLength(0);
  expect(server.requests).toHaveLength(10);
  status = 302;
  expect((await client.exports.file('exp_1', 'a.jsonl')).status).toBe(200);
  expect(other.requests[0]?.headers.authorization).toBeUndefined();
});

test('what a gateway responds in place of the API is an error of this package', async () => {
  const bodies: [status: number, body: string, code: string][] = [
    [403, '{"code":1010,"errors":["banned"]}', 'http_403'],
    [403, '{"code":"constructor","errors":["banned"],"detail":{"a":1}}', 'constructor'],
    [422, '{"code":"invalid","errors":"no","request_id":7}', 'invalid'],
    [422, '{"code":"invalid","errors":[{"pointer":"/a"},null]}', 'invalid'],
    [400, 'null', 'http_400'],
    [400, '[{"code":"invalid"}]', 'http_400'],
  ];
  let [status, body] = [200, '<html>'];
  await using server = await openLocalServer((_, response) => void response.writeHead(status).end(body));
  const client = new Tandem({ baseUrl: server.url, key: KEY, maxRetries: 0 });
  for (const each of bodies) {
    [status, body] = each;
    const error = await client.feed.get().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status, code: each[2], errors: [] });
  }
  [status, body] = [200, '<html>'];
  const notJson = { name: 'TandemError', message: `${server.url} did not respond with JSON. Is it the API?` };
  await expect(client.feed.get()).rejects.toMatchObject(notJson);
  await expect(readEvents(client, {}, 1, undefined)).rejects.toThrow(TandemError);
});

test('a delete whose first response was lost has succeeded when the object is gone', async () => {
  await using server = await openLocalServer((_, response, count) =>
    count === 1 ? response.destroy() : json(response, 404, { code: 'not_found' }),
  );
  const client = new Tandem({ baseUrl: server.url, key: KEY });
  await client.webhooks.delete('whk_1');
  expect(server.requests).toHaveLength(2);
});

test('a delete has not succeeded when what came before says that nothing was done', async () => {
  let status = 503;
  await using server = await openLocalServer((_, response, count) =>
    json(response, count % 2 === 0 ? 404 : status, { code: count % 2 === 0 ? 'not_found' : 'other' }),
  );
  const client = new Tandem({ baseUrl: server.url, key: KEY });
  for (status of [503, 429]) await expect(client.webhooks.delete('whk_1')).rejects.toThrow(NotFoundError);
  for (status of [500, 502]) await client.webhooks.delete('whk_1');
  expect(server.requests).toHaveLength(8);
});

test('the time limit and the signal also end the body of a problem', async () => {
  await using server = await openLocalServer((_, response) => {
    response.writeHead(422, { 'content-type': 'application/json' });
    response.write('{');
  });
  const client = new Tandem({ baseUrl: server.url, key: KEY, timeoutMs: 1_500 });
  await expect(client.feed.get()).rejects.toMatchObject({ status: 422, code: 'http_422' });
  const ended = new AbortController();
  const call = client.feed.get({ signal: ended.signal, timeoutMs: 60_000 });
  await waitFor('the second request', () => server.requests.length === 2);
  ended.abort(new Error('enough'));
  await expect(call).rejects.toThrow('enough');
});

test('of a problem body without an end only a part is read', async () => {
  let sent = 0;
  await using server = await openLocalServer((_, response) => {
    response.writeHead(502, { 'content-type': 'application/json' });
    const pour = (): void => {
      while (!response.destroyed && response.write(' '.repeat(65_536))) sent += 65_536;
    };
    response.on('drain', pour);
    pour();
  });
  const client = new Tandem({ baseUrl: server.url, key: KEY, timeoutMs: 30_000, maxRetries: 0 });
  await expect(client.feed.get()).rejects.toMatchObject({ status: 502, code: 'http_502' });
  expect(sent).toBeLessThan(64 * 1024 * 1024);
});

test('a manifest that breaks off or stalls is requested again', async () => {
  let manifests = 0;
  await using server = await openLocalServer(({ url }, response) => {
    if (!url.endsWith('manifest.json')) {
      json(response, 200, { id: 'exp_1', status: 'completed' });
      return;
    }
    manifests += 1;
    response.writeHead(200, { 'content-type': 'application/json' });
    if (manifests === 1) response.write('{', () => response.destroy());
    else if (manifests === 2) response.write('{');
    else response.end('{"export_id":"exp_1"}');
  });
  const client = new Tandem({ baseUrl: server.url, key: KEY, timeoutMs: 1_500 });
  expect(await client.exports.manifest('exp_1')).toEqual({ export_id: 'exp_1' });
  expect(manifests).toBe(3);
});

test('a request has a time limit, also for its body, and ends with its signal', async () => {
  await using server = await openLocalServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{');
  });
  const client = new Tandem({ baseUrl: server.url, key: KEY, timeoutMs: 100, maxRetries: 0 });
  await expect(client.feed.get()).rejects.toThrow(TimeoutError);
  const ended = new AbortController();
  const call = client.feed.get({ signal: ended.signal, timeoutMs: 60_000 });
  ended.abort(new Error('enough'));
  await expect(call).rejects.toThrow('enough');
});

test('the key is in no error, and not in what a client prints', async () => {
  const client = new Tandem({
    baseUrl: 'http://127.0.0.1:1/base/',
    key: KEY,
    maxRetries: 0,
    fetch: () => Promise.reject(new TypeError(`cannot send "Bearer ${KEY}"`)),
  });
  const error = await client.feed.get().catch((each: unknown) => each);
  expect(error).toBeInstanceOf(ConnectionError);
  expect(inspect(error, { depth: 10 })).not.toContain(KEY);
  expect(inspect(client, { depth: 10, showHidden: true }) + JSON.stringify(client)).not.toContain(KEY);
  let refused: unknown;
  try {
    new Tandem({ baseUrl: 'http://127.0.0.1', key: `${KEY}\n` });
  } catch (each) {
    refused = each;
  }
  expect(String(refused)).toContain('printable ASCII');
  expect(inspect(refused)).not.toContain(KEY);
});

test('a list is read page by page, with its filter, and only as far as it is used', async () => {
  await using server = await openLocalServer(({ url }, response) => {
    const cursor = new URL(url, 'http://x').searchParams.get('cursor');
    const page = cursor === null ? 1 : Number(cursor);
    const data = [{ id: `exp_${page}a` }, { id: `exp_${page}b` }];
    json(response, 200, { data, has_more: page < 3, next_cursor: page < 3 ? String(page + 1) : null });
  });
  const client = new Tandem({ baseUrl: server.url, key: KEY });
  const ids: string[] = [];
  for await (const { id } of client.exports.list({ status: 'completed', limit: 2 })) ids.push(id);
  expect(ids).toEqual(['exp_1a', 'exp_1b', 'exp_2a', 'exp_2b', 'exp_3a', 'exp_3b']);
  expect(server.requests.map(({ url }) => url)).toEqual([
    '/exports?status=completed&limit=2',
    '/exports?status=completed&limit=2&cursor=2',
    '/exports?status=completed&limit=2&cursor=3',
  ]);
  expect(await client.exports.list().toArray(1)).toHaveLength(1);
  expect(server.requests).toHaveLength(4);
});

test('the feed ends where nothing more can be read, though it has a cursor to continue later', async () => {
  await using server = await openLocalServer(({ url }, response) => {
    const isFirst = url.includes('after_export=exp_1');
    json(response, 200, { data: [{ id: 'evt' }], has_more: isFirst, next_cursor: isFirst ? 'c1' : 'c2' });
  });
  const client = new Tandem({ baseUrl: server.url, key: KEY });
  expect(await client.events.list({ after_export: 'exp_1', limit: 1 }).toArray()).toHaveLength(2);
  expect(server.requests.map(({ url }) => url)).toEqual([
    '/events?after_export=exp_1&limit=1',
    '/events?limit=1&after=c1',
  ]);
  const ended = new AbortController();
  const pages: string[] = [];
  for await (const { next_cursor: cursor } of client.events.follow(
    { after_export: 'exp_1' },
    { pollMs: 1, signal: ended.signal },
  )) {
    if (pages.push(cursor) === 3) break;
  }
  expect(pages).toEqual(['c1', 'c2', 'c2']);
});

test('wait() reports progress and ends with the completed job, or with the error of a failed one', async () => {
  let status = 'completed';
  await using server = await openLocalServer(({ method }, response, count) => {
    if (method === 'POST') json(response, 202, { id: 'exp_1', status: 'pending' });
    else
      json(response, 200, {
        id: 'exp_1',
        status: count < 4 ? 'running' : status,
        error: { message: 'no disk' },
      });
  });
  const client = new Tandem({ baseUrl: server.url, key: KEY });
  const seen: string[] = [];
  const job = client.exports.create({ resource: 'invoices' });
  const completed = await job.wait({ onProgress: (each) => seen.push(each.status) });
  expect(completed.status).toBe('completed');
  expect(seen).toEqual(['running', 'running', 'completed']);
  status = 'failed';
  await expect(client.exports.wait('exp_1')).rejects.toMatchObject({
    name: 'JobError',
    message: 'The job exp_1 is failed: no disk',
    job: { id: 'exp_1' },
  });
});
