import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createPublicUrls } from '../../../services/api/http/public-urls.ts';
import { Secret } from '../../../shared/runtime/env.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../../support/api-server.ts';

let api: TestApi;
let key: string;
beforeAll(async () => {
  api = await openTestApi();
  key = (await api.account()).key;
});
afterAll(() => api[Symbol.asyncDispose]());

test('a problem says what went wrong, in one form', async () => {
  const { status, headers, json } = await api.call('GET', '/nowhere');
  expect(status).toBe(404);
  expect(headers.get('content-type')).toContain('application/problem+json');
  expect(json).toMatchObject({
    type: expect.any(String),
    title: 'Not found',
    status: 404,
    code: 'not_found',
  });
  expect(json.request_id).toBe(headers.get('x-request-id'));
  expect(json.request_id).toMatch(/^req_/);
});

test('the request ID of a client comes back, unless it could break a log', async () => {
  const id = async (sent: string) =>
    (await api.call('GET', '/healthz', { headers: { 'x-request-id': sent } })).headers.get('x-request-id');
  expect(await id('trace-42')).toBe('trace-42');
  expect(await id('a b"c')).toMatch(/^req_/);
  expect(await id('x'.repeat(200))).toMatch(/^req_/);
});

test('a method that a path does not have is told, with those it has', async () => {
  const { status, headers, json } = await api.call('PUT', '/exports', { key });
  expect(status).toBe(405);
  expect(headers.get('allow')?.split(', ').sort()).toEqual(['GET', 'HEAD', 'POST']);
  expect(json.code).toBe('method_not_allowed');
});

test('malformed JSON is 400, another type 415, too much 413', async () => {
  const post = (body: string, headers: Record<string, string> = {}) =>
    api.call('POST', '/exports', { key, body, headers });
  expect((await post('{"resource":')).status).toBe(400);
  expect((await post('')).status).toBe(400);
  expect((await post('{}', { 'content-type': 'text/plain' })).status).toBe(415);
  expect((await post('{}', { 'content-type': 'application/json; charset=latin1' })).status).toBe(415);
  expect((await post('{}', { 'content-encoding': 'gzip' })).status).toBe(415);
  expect((await post(`{"resource":"${'x'.repeat(20_000)}"}`)).status).toBe(413);
  expect((await post('[]')).status).toBe(422);
  expect((await post('null')).status).toBe(422);
});

test('JSON nested too deep is refused on every route, whatever is deep in it', async () => {
  const deep = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  const bodies: readonly [string, string][] = [
    [
      '/bulk/operations',
      `{"resource":"invoices","operation":"void","filter":{"memo":{"eq":${deep(20_000)}}}}`,
    ],
    ['/webhooks', `{"url":${deep(4_000)}}`],
    ['/exports', '[{"a":'.repeat(1_000)],
  ];
  for (const [path, body] of bodies) {
    const { status, json } = await api.call('POST', path, { key, body });
    expect(status).toBe(422);
    expect(json).toMatchObject({ code: 'invalid', errors: [{ detail: 'may be nested at most 64 deep' }] });
  }
});

test('too much without a length is refused while it arrives, and is not parsed', async () => {
  const answered = new Promise<number | undefined>((resolve, reject) => {
    const sent = request(
      `${api.url}/exports`,
      { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' } },
      (response) => {
        response.resume();
        resolve(response.statusCode);
        sent.destroy();
      },
    );
    sent.on('error', reject);
    // The body never ends: the answer must not wait for it.
    sent.write(`{"resource":"${'x'.repeat(20_000)}`);
  });
  expect(await answered).toBe(413);
});

test('without a key, with a wrong one or a revoked one nobody is let in', async () => {
  const statusOf = async (headers: Record<string, string>) =>
    (await api.call('GET', '/exports', { headers })).status;
  expect(await statusOf({})).toBe(401);
  expect(await statusOf({ authorization: 'Bearer tk_wrong' })).toBe(401);
  expect(await statusOf({ authorization: 'Basic abc' })).toBe(401);
  expect(await statusOf({ authorization: `Bearer ${ADMIN_KEY}x` })).toBe(401);
  const account = await api.account();
  const keys = await api.call('GET', `/admin/accounts/${account.id}/keys`, { key: ADMIN_KEY });
  expect(keys.text).not.toContain(account.key);
  expect(await statusOf({ authorization: `Bearer ${account.key}` })).toBe(200);
  const revoked = await api.call('DELETE', `/admin/accounts/${account.id}/keys/${keys.json.data[0].id}`, {
    key: ADMIN_KEY,
  });
  expect(revoked.status).toBe(204);
  expect(await statusOf({ authorization: `Bearer ${account.key}` })).toBe(401);
  expect((await api.call('GET', '/exports')).headers.get('www-authenticate')).toBe('Bearer');
});

test('a key does what its scopes say, and never what is the operator’s', async () => {
  const reader = await api.account(['exports:read']);
  expect((await api.call('GET', '/exports', { key: reader.key })).status).toBe(200);
  const refused = await api.call('POST', '/exports', { key: reader.key, body: { resource: 'invoices' } });
  expect(refused.status).toBe(403);
  expect(refused.json).toMatchObject({ code: 'forbidden', scope: 'exports:write' });
  expect((await api.call('GET', '/admin/accounts', { key: reader.key })).status).toBe(403);
  expect((await api.call('GET', '/admin/accounts')).status).toBe(401);
});

test('a list goes on where it stopped, each row once, and its cursor can not be altered', async () => {
  const seen: string[] = [];
  let path = '/admin/accounts?limit=2';
  for (;;) {
    const { json } = await api.call('GET', path, { key: ADMIN_KEY });
    seen.push(...json.data.map(({ id }: { id: string }) => id));
    if (!json.has_more) break;
    path = `/admin/accounts?limit=2&cursor=${json.next_cursor}`;
  }
  const all = await api.call('GET', '/admin/accounts?limit=200', { key: ADMIN_KEY });
  expect(seen).toEqual(all.json.data.map(({ id }: { id: string }) => id));
  expect(new Set(seen).size).toBe(seen.length);
  const altered = await api.call('GET', `${path.slice(0, -1)}_`, { key: ADMIN_KEY });
  expect(altered).toMatchObject({ status: 422, json: { errors: [{ pointer: 'cursor' }] } });
  // A cursor of one list means nothing to another.
  expect((await api.call('GET', path.replace('/admin/accounts', '/exports'), { key })).status).toBe(422);
});

test('unknown parameters and limits out of bounds are told, and so is what is no whole number in digits', async () => {
  const { json } = await api.call('GET', '/exports?limit=0&colour=red', { key });
  expect(json.errors.map(({ pointer }: { pointer: string }) => pointer).sort()).toEqual(['colour', 'limit']);
  for (const limit of ['0x10', '1e2', '5.0', '%205', '+5', '5%0A', '']) {
    const { status } = await api.call('GET', `/exports?limit=${limit}`, { key });
    expect([limit, status]).toEqual([limit, 422]);
  }
});

test('a member that is given twice is told, where a parser would keep the last', async () => {
  const body = '{"url":"https://a.example/hook","url":"https://b.example/hook"}';
  expect(await api.call('POST', '/webhooks', { key, body })).toMatchObject({
    status: 422,
    json: { errors: [{ pointer: '/url', detail: 'is given more than once' }] },
  });
});

test('an idempotency key holds for every spelling of the path', async () => {
  const headers = { 'idempotency-key': 'spelled-otherwise' };
  const body = { url: 'https://example.com/hook' };
  const [first, second] = [
    await api.call('POST', '/webhooks', { key, headers, body }),
    await api.call('POST', '/webhooks/', { key, headers, body }),
  ];
  expect(second).toMatchObject({ status: 201, json: { id: first?.json.id } });
  expect(second?.headers.get('idempotency-replayed')).toBe('true');
});

test('probes answer without a key', async () => {
  expect(await api.call('GET', '/healthz')).toMatchObject({ status: 200, json: { status: 'ok' } });
  expect(await api.call('GET', '/readyz')).toMatchObject({
    status: 200,
    json: { checks: { control_store: true, outbox_relay: true } },
  });
});

test('while the control store is away requests are told to come again, and nothing inside is shown', async () => {
  await using broken = await openTestApi();
  await Promise.all([broken.pool.end(), broken.doorPool.end()]);
  const { status, headers, json } = await broken.call('GET', '/exports', { key: 'tk_any' });
  expect(status).toBe(503);
  expect(headers.get('retry-after')).toBe('2');
  expect(json).toMatchObject({ code: 'unavailable' });
  expect((await broken.call('GET', '/readyz')).status).toBe(503);
  expect((await broken.call('GET', '/healthz')).status).toBe(200);
});

test('a failure of ours is a plain 500, with nothing of what is inside', async () => {
  await using broken = await openTestApi({
    accountExists: async () => {
      throw new Error('secret detail');
    },
  });
  const body = { url: 'https://example.com/', account_id: 'acct_1' };
  const { status, text } = await broken.call('POST', '/webhooks', { key: ADMIN_KEY, body });
  expect(status).toBe(500);
  expect(text).not.toContain('secret detail');
  expect(text).not.toContain('.ts');
});

test('the API describes itself, and what it answers is as described', async () => {
  const { json: document } = await api.call('GET', '/openapi.json');
  expect(document.openapi).toBe('3.1.0');
  expect(Object.keys(document.paths)).toContain('/exports/{id}/files/{name}');
  // What is served is what is checked in, except for where and by which version it is served.
  const checkedIn = parse(await readFile('schemas/openapi.yaml', 'utf8'));
  expect(document.servers).toEqual([{ url: api.url }]);
  expect({ ...document, info: checkedIn.info, servers: checkedIn.servers }).toEqual(checkedIn);
  const page = await api.call('GET', '/docs');
  expect(page.headers.get('content-type')).toContain('text/html');
  expect(page.text).toContain('/docs/api/exports');
});

test('a replay shows a secret to the key that got it, and to no other', async () => {
  const first = await api.account();
  const keyOf = async (headers: Record<string, string> = {}) =>
    api.call('POST', `/admin/accounts/${first.id}/keys`, { key: ADMIN_KEY, body: {}, headers });
  const other = (await keyOf()).json.key as string;
  const headers = { 'idempotency-key': 'one-endpoint' };
  const create = (by: string) =>
    api.call('POST', '/webhooks', { key: by, headers, body: { url: 'https://example.com/hook' } });
  const made = await create(first.key);
  expect(made.json.secret).toMatch(/^whsec_/);
  expect((await create(first.key)).json).toEqual(made.json);
  const withheld = await create(other);
  expect(withheld.headers.get('idempotency-replayed')).toBe('true');
  expect(withheld.json).toEqual({
    ...made.json,
    secret: undefined,
    secret_withheld: expect.stringContaining('shown once'),
  });
  const rotate = (by: string) =>
    api.call('POST', `/webhooks/${made.json.id}/rotate-secret`, { key: by, headers });
  const rotated = await rotate(first.key);
  expect((await rotate(other)).text).not.toContain(rotated.json.secret);
  const change = { url: 'https://example.com/other?token=x', headers: { 'x-a': 'hidden' } };
  await api.call('PATCH', `/webhooks/${made.json.id}`, { key: first.key, body: change });
  await api.call('GET', '/events', { key: first.key });
  await api.call('GET', '/events', { key: first.key });
  const limits = { max_running_exports: 2 };
  await api.call('PATCH', `/admin/accounts/${first.id}`, { key: ADMIN_KEY, body: { limits } });
  const audit = await api.call('GET', `/admin/audit?account_id=${first.id}`, { key: ADMIN_KEY });
  const entries = (audit.json.data as { action: string; details: unknown }[]).map(({ action, details }) => [
    action,
    details,
  ]);
  expect(entries).toEqual([
    ['account.updated', { limits }],
    ['events.read', {}],
    ['webhook.updated', { fields: ['url', 'headers'], url: 'https://example.com/other' }],
    ['webhook.secret_rotated', {}],
    ['webhook.created', { url: 'https://example.com/hook' }],
    ['key.created', expect.anything()],
    ['key.created', expect.anything()],
    ['account.created', {}],
  ]);
});

test('a replay shows a new API key to the operator’s key that got it, and to no other', async () => {
  const { id } = await api.account();
  const headers = { 'idempotency-key': 'one-key' };
  const path = `/admin/accounts/${id}/keys`;
  const make = (by: TestApi, adminKey: string) => by.call('POST', path, { key: adminKey, body: {}, headers });
  const made = await make(api, ADMIN_KEY);
  expect(made.json.key).toMatch(/^tk_/);
  expect((await make(api, ADMIN_KEY)).json).toEqual(made.json);
  // After the operator's key has been changed.
  await using changed = await openTestApi({
    pool: api.pool,
    doorPool: api.doorPool,
    adminKey: new Secret('another-operator-key'),
  });
  const withheld = await make(changed, 'another-operator-key');
  expect(withheld.headers.get('idempotency-replayed')).toBe('true');
  expect(withheld.json).toMatchObject({
    id: made.json.id,
    secret_withheld: expect.stringContaining('shown once'),
  });
  expect(withheld.text).not.toContain(made.json.key);
});

test('behind a proxy with a path in front, every URL that is handed out leads back through it', async () => {
  // Strips the prefix, as proxies do that map it to a host.
  const proxy = createServer((incoming, outgoing) => {
    const path = (incoming.url ?? '').replace(/^\/tandem\/v1/, '');
    if (path === incoming.url) return void outgoing.writeHead(404).end();
    const asked = request(
      `${behind.url}${path}`,
      { method: incoming.method, headers: incoming.headers },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      },
    );
    incoming.pipe(asked);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const host = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  await using behind = await openTestApi({ urls: createPublicUrls(() => `${host}/tandem/v1/`) });
  const { key: own } = await behind.account();
  try {
    const made = await behind.call('POST', `${host}/tandem/v1/exports`, {
      key: own,
      body: { resource: 'invoices' },
    });
    const location = new URL(made.headers.get('location') ?? '', host).href;
    expect((await behind.call('GET', location, { key: own })).json.id).toBe(made.json.id);
    const { json: openapi } = await behind.call('GET', `${host}/tandem/v1/openapi.json`);
    expect(openapi.servers).toEqual([{ url: `${host}/tandem/v1` }]);
    expect(JSON.stringify(openapi.paths['/exports'])).not.toContain('For the operator only');
    const docs = await behind.call('GET', `${host}/tandem/v1/docs`);
    const link = /rel="stylesheet" href="([^"]+)"/.exec(docs.text)?.[1] ?? '';
    expect((await behind.call('GET', new URL(link, host).href)).status).toBe(200);
    // A proxy may leave the prefix too.
    expect((await behind.call('GET', '/tandem/v1/healthz')).status).toBe(200);
  } finally {
    proxy.close();
    proxy.closeAllConnections();
  }
});
