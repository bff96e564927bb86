import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ADMIN_KEY, type ApiReply, type TestApi } from '../../support/api-server.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';

let world: BulkWorld;
let api: TestApi;
let account: { id: string; key: string };
beforeAll(async () => {
  world = await openBulkWorld({ maxBodyBytes: 100_000 });
  api = world.api;
  account = await api.account();
});
afterAll(() => world[Symbol.asyncDispose]());

/** As much of an OpenAPI document as this walks by. */
interface Operation {
  readonly parameters: { name: string; in: string; schema: { default?: unknown } }[];
  readonly requestBody?: { content: Record<string, { schema: { properties?: Record<string, unknown> } }> };
}

/** In a path or a query, percent-encoded or raw bytes of a request line. */
const BAD_TEXTS = [
  '%00',
  '%ED%A0%80',
  '%C0%AF',
  '%zz',
  '%',
  'x'.repeat(1_500),
  '%F0%9F%98%80',
  '-1',
  '1e999',
  '%5B%7B',
];

const deep = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

/** Values of a field, as JSON. */
const BAD_VALUES = [
  '"a\\u0000b"',
  '"\\ud800"',
  `"${'x'.repeat(60_000)}"`,
  '"日本 😀 \\ufeff"',
  '-1',
  '1.5',
  '1e400',
  '99999999999999999999999999',
  'null',
  'true',
  '[]',
  '{}',
  '{"\\u0000":1}',
  '{"__proto__":{"a":1}}',
  deep(50),
  deep(70),
  `[${Array(4_000).fill('{}').join(',')}]`,
];

async function operations() {
  const { json } = await api.call('GET', '/admin/openapi.json', { key: ADMIN_KEY });
  return Object.entries(json.paths as Record<string, Record<string, Operation>>).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
}

const filled = (path: string, value: string) => path.replace(/\{\w+\}/g, value);

/** Some at a time, so that the walk takes seconds. */
async function callAll(calls: readonly (() => Promise<void>)[]): Promise<void> {
  const left = [...calls];
  const next = async (): Promise<void> => {
    for (let call = left.shift(); call !== undefined; call = left.shift()) await call();
  };
  await Promise.all(Array.from({ length: 4 }, next));
}

function requireTold(what: string, { status, headers, text: body }: ApiReply): void {
  const told = `${what} → ${status} ${body.slice(0, 300)}`;
  expect(status, told).toBeLessThan(500);
  if (status < 400) return;
  expect(headers.get('content-type'), told).toContain('application/problem+json');
  expect(body.length, told).toBeLessThan(60_000);
}

test('no bytes in a path or a query make a route fail', async () => {
  const calls: (() => Promise<void>)[] = [];
  for (const { method, path, operation } of await operations()) {
    const key = path.startsWith('/admin') ? ADMIN_KEY : account.key;
    const names = operation.parameters
      .filter((parameter) => parameter.in === 'query')
      .map(({ name }) => name);
    // What names an account is the operator's on most routes, and one parameter of all is enough for the others' rules.
    const asked = BAD_TEXTS.flatMap((bad) => [
      ...(path.includes('{') ? [filled(path, bad)] : []),
      ...names
        .filter((name) => name !== 'account_id')
        .map((name) => `${filled(path, 'exp_1')}?${name}=${bad}`),
    ]);
    for (const target of asked) {
      calls.push(async () => requireTold(`${method} ${target}`, await api.call(method, target, { key })));
    }
  }
  await callAll(calls);
});

test('no value of a field makes a route fail, alone or among good ones', async () => {
  const good: Record<string, unknown> = {
    resource: 'invoices',
    operation: 'void',
    ids: ['1'],
    url: 'https://example.com/hook',
    name: 'n',
    source_id: 's',
    webhook_id: 'whk_1',
    async: true,
    dry_run: true,
  };
  const calls: (() => Promise<void>)[] = [];
  for (const { method, path, operation } of await operations()) {
    const properties = Object.keys(
      operation.requestBody?.content['application/json']?.schema.properties ?? {},
    );
    const key = path.startsWith('/admin') ? ADMIN_KEY : account.key;
    for (const field of properties) {
      for (const bad of BAD_VALUES) {
        const others = properties.filter((name) => name !== field && name in good && name !== 'dry_run');
        const members = others.map((name) => `"${name}":${JSON.stringify(good[name])}`);
        const body = `{${[...members, `"${field}":${bad}`].join(',')}}`;
        const what = `${method} ${path} ${field}=${bad.slice(0, 40)}`;
        calls.push(async () =>
          requireTold(what, await api.call(method, filled(path, account.id), { key, body })),
        );
      }
    }
  }
  await callAll(calls);
});

test('NUL and half of a surrogate pair are told with their place, 422 in a body and 400 before it', async () => {
  const post = (path: string, body: string) => api.call('POST', path, { key: account.key, body });
  expect(await post('/exports', '{"resource":"a\\u0000","x":["\\udfff"]}')).toMatchObject({
    status: 422,
    json: { errors: [{ pointer: '/resource' }, { pointer: '/x/0' }] },
  });
  expect(await post('/bulk/operations', '{"params":{"a\\u0000":1}}')).toMatchObject({ status: 422 });
  // A BOM before JSON is passed over, as RFC 8259 lets us, and inside a text it is a character like others.
  const marked = await post('/exports', '\ufeff{"resource":"\ufeff"}');
  expect(marked).toMatchObject({ status: 422, json: { errors: [{ pointer: '/resource' }] } });
  expect((await post('/exports', '{"resource":"\\ud83d\\ude00"}')).json.errors).toHaveLength(1);
  expect((await api.call('GET', '/exports/%00', { key: account.key })).status).toBe(400);
  expect((await api.call('GET', '/exports?cursor=%00', { key: account.key })).status).toBe(400);
});

test('whatever stands in a request line or a header, the answer is a problem below 500', async () => {
  const { port } = new URL(api.url);
  const raw = async (head: string) => {
    const socket = connect(Number(port), '127.0.0.1');
    socket.end(Buffer.from(`${head}\r\nHost: x\r\nConnection: close\r\n\r\n`, 'latin1'));
    return text(socket);
  };
  for (const target of [
    '*',
    'http://[::',
    '//',
    '/%',
    '/\u00fc',
    '/a\u0000b',
    'x:y',
    `/healthz?${'a&'.repeat(7_000)}`,
  ]) {
    const answer = await raw(`GET ${target} HTTP/1.1`);
    expect([target.slice(0, 20), answer.slice(0, 12)]).toEqual([
      target.slice(0, 20),
      expect.stringMatching(/^HTTP\/1\.1 4\d\d$/),
    ]);
    expect(answer).toContain('application/problem+json');
  }
  for (const header of [
    'Range: bytes=0-1,2-3',
    'Accept: \u00ff,*/*;q=x',
    'If-Match: "',
    'Cookie: \u0080=;;',
    'X-Forwarded-For: ::',
  ]) {
    expect((await raw(`GET /healthz HTTP/1.1\r\n${header}`)).slice(0, 12)).toBe('HTTP/1.1 200');
  }
});

test('a request without a host, with two hosts or with a fragment is refused, and so is a body in a coding that is not read', async () => {
  const { port } = new URL(api.url);
  const body = '{"resource":"invoices","dry_run":true}';
  const cases: [status: number, fields: readonly string[], target?: string][] = [
    [400, []],
    [400, ['Host: a', 'Host: a']],
    [400, ['Host: x'], '/exports#x'],
    [415, ['Host: x', 'Transfer-Encoding: gzip, chunked']],
    [200, ['Host: x', 'Transfer-Encoding: Chunked']],
  ];
  for (const [status, fields, target = '/exports'] of cases) {
    const isChunked = fields.some((field) => field.includes('hunked'));
    const sent = isChunked ? `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body;
    const head = [
      `POST ${target} HTTP/1.1`,
      ...fields,
      ...(isChunked ? [] : [`Content-Length: ${body.length}`]),
      `Authorization: Bearer ${account.key}`,
      'Content-Type: application/json',
      'Connection: close',
    ];
    const socket = connect(Number(port), '127.0.0.1');
    // A client that closes its half of the connection is taken for one that left.
    socket.write(`${head.join('\r\n')}\r\n\r\n${sent}`);
    const answer = await text(socket);
    expect([fields, Number(answer.slice(9, 12))]).toEqual([fields, status]);
    if (status >= 400) expect(answer).toContain('application/problem+json');
  }
});

test('a query of very many parameters takes no time', async () => {
  const { detail, status } = (await api.call('GET', `/healthz?${'a&'.repeat(4_000)}`)).json;
  expect([status, detail]).toEqual([400, 'The query may have at most 50 parameters.']);
  expect((await api.call('GET', '/exports?limit=5&limit=6', { key: account.key })).status).toBe(422);
});

test('a body is bounded in values, and tells some of its errors with the number of the others', async () => {
  const post = (body: string) => api.call('POST', '/bulk/operations', { key: account.key, body });
  const start = '{"resource":"invoices","operation":"void"';
  const unknown = Array.from({ length: 20_000 }, (_, index) => `"f${index}":0`).join(',');
  const told = await post(`${start},${unknown}}`);
  expect(told).toMatchObject({ status: 422, json: { errors_omitted: expect.any(Number) } });
  expect(told.json.errors).toHaveLength(50);
  expect(told.text.length).toBeLessThan(10_000);
  const values = await post(`${start},"params":{"a":[${'0,'.repeat(1_500_000)}0]}}`);
  expect(values.json.detail).toBe('The body: the body may hold at most 60000 values');
  const params = await post(`${start},"ids":["1"],"params":{"a":"${'x'.repeat(70_000)}"}}`);
  expect(params.json.errors).toMatchObject([{ pointer: '/params' }]);
  const ids = await post(`${start},"ids":[${Array(9_000).fill('{}').join(',')}]}`);
  expect(ids.json).toMatchObject({ status: 422, errors: { length: 50 } });
  const groups = await post(`${start},"filter":{"and":[${Array(20_000).fill('{}').join(',')}]}}`);
  expect(groups.json.errors).toMatchObject([{ pointer: '/filter/and' }]);
});
