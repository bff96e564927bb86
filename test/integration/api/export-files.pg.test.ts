import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { REQUEST_LIMITS } from '../../../services/api/http/request-limits.ts';
import { createLog } from '../../../shared/runtime/log.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../../support/api-server.ts';
import { completeExport } from '../../support/complete-export.ts';
import { waitFor } from '../../support/wait-for.ts';

const MAX_DOWNLOADS = 2;
const ORIGIN = 'https://app.example.com';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi({
    accountLimits: { requestsPerSecond: 100_000, maxOpen: 20, maxRunning: 8, maxDownloads: MAX_DOWNLOADS },
  });
});
afterAll(() => api[Symbol.asyncDispose]());

const post = (key: string, body: unknown) => api.call('POST', '/exports', { key, body });

test('a completed export’s file can be downloaded, whole, in parts, and with conditions', async () => {
  const { key } = await api.account();
  const { json: job } = await post(key, { resource: 'invoices' });
  const content = '{"id":1}\n{"id":2}\n';
  const sha256 = await completeExport(api, job.id, content);
  const { json } = await api.call('GET', `/exports/${job.id}`, { key });
  expect(json).toMatchObject({ status: 'completed', progress: 1, eta_seconds: 0 });
  expect(json.snapshot).toEqual({
    kind: 'single',
    reason: null,
    taken_at: expect.any(String),
    lsn: '0/20',
    xmin: '10',
    xmax: '12',
    xip: ['11'],
  });
  const [file] = json.files;
  expect(file).toMatchObject({
    name: 'invoices.jsonl',
    resource: 'invoices',
    rows: 2,
    bytes: content.length,
    sha256,
  });
  expect(Date.parse(file.url_expires_at) - Date.now()).toBeGreaterThan(23 * 60 * 60 * 1_000);

  const get = (headers: Record<string, string> = {}, method = 'GET') =>
    api.call(method, file.url, { headers });
  const whole = await get();
  expect(whole).toMatchObject({ status: 200, text: content });
  expect(whole.headers.get('etag')).toBe(`"${sha256}"`);
  expect(whole.headers.get('content-length')).toBe(String(content.length));
  expect(whole.headers.get('content-disposition')).toBe('attachment; filename="invoices.jsonl"');
  expect(whole.headers.get('repr-digest')).toBe(`sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`);

  const head = await get({}, 'HEAD');
  expect(head.headers.get('content-length')).toBe(String(content.length));
  expect(head.text).toBe('');

  const part = await get({ range: 'bytes=9-', 'if-match': `"${sha256}"` });
  expect(part).toMatchObject({ status: 206, text: '{"id":2}\n' });
  expect(part.headers.get('content-range')).toBe('bytes 9-17/18');
  const past = await get({ range: 'bytes=18-' });
  expect(past.status).toBe(416);
  expect(past.headers.get('content-range')).toBe('bytes */18');
  expect((await get({ range: 'bytes=9-', 'if-match': '"stale"' })).status).toBe(412);
  expect((await get({ 'if-none-match': `"${sha256}"` })).status).toBe(304);

  const link = await api.call('GET', file.content_url, { key });
  expect(link.status).toBe(302);
  expect((await api.call('GET', link.headers.get('location') ?? '')).text).toBe(content);
  expect((await api.call('GET', file.content_url)).status).toBe(401);
  const short = await api.call('GET', `${file.content_url}?expires_in=60`, { key });
  const shortUrl = short.headers.get('location') ?? '';
  expect((await api.call('GET', shortUrl)).text).toBe(content);
  try {
    api.clock.nowMs = Date.now() + 61_000;
    expect((await api.call('GET', shortUrl)).status).toBe(403);
  } finally {
    api.clock.nowMs = undefined;
  }
  expect((await api.call('GET', `${file.content_url}?expires_in=0`, { key })).status).toBe(422);
  expect((await api.call('GET', json.manifest_url)).json).toEqual({});
  expect((await api.call('GET', `${file.content_url}x`, { key })).status).toBe(404);
});

test('an altered or expired link is refused, and a link to removed files says that they are gone', async () => {
  const { key } = await api.account();
  const { json: job } = await post(key, { resource: 'invoices' });
  await completeExport(api, job.id, 'x\n');
  const { json } = await api.call('GET', `/exports/${job.id}`, { key });
  const url: string = json.files[0].url;
  const statusOf = async (link: string) => (await api.call('GET', link)).status;
  expect(await statusOf(url)).toBe(200);
  expect(await statusOf(url.replace('invoices.jsonl', 'manifest.json'))).toBe(403);
  expect(await statusOf(url.replace(/expires=(\d)/, 'expires=9$1'))).toBe(403);
  expect(await statusOf(`${url}&x=1`)).toBe(403);
  expect(await statusOf(url.slice(0, -1) + (url.endsWith('A') ? 'B' : 'A'))).toBe(403);
  expect(await statusOf(url.split('?')[0] ?? '')).toBe(403);
  try {
    api.clock.nowMs = Date.now() + 25 * 60 * 60 * 1_000;
    expect(await statusOf(url)).toBe(403);
    api.clock.nowMs = Date.now() + 91 * 24 * 60 * 60 * 1_000;
    expect((await api.call('GET', json.files[0].content_url, { key })).status).toBe(410);
  } finally {
    api.clock.nowMs = undefined;
  }
  expect((await api.call('DELETE', `/exports/${job.id}`, { key })).status).toBe(204);
  expect(await statusOf(url)).toBe(410);
  expect((await api.call('GET', json.files[0].content_url, { key })).status).toBe(410);
  expect(await api.storage.stat(`exports/${job.id}/invoices.jsonl`)).toBeUndefined();
  expect((await api.call('GET', `/exports/${job.id}`, { key })).json).toMatchObject({
    status: 'expired',
    files: [],
  });
  expect((await api.call('DELETE', `/exports/${job.id}`, { key })).status).toBe(204);
});

/** More than the sockets between a client and us hold. */
const LARGE = 'x'.repeat(16 * 1_024 * 1_024);

async function linkTo(key: string, content: string): Promise<string> {
  const { json: job } = await post(key, { resource: 'invoices' });
  await completeExport(api, job.id, content);
  return (await api.call('GET', `/exports/${job.id}`, { key })).json.files[0].url;
}

/** A download whose client reads nothing of the file. */
async function stall(link: string): Promise<IncomingMessage> {
  const [response] = await once(request(link, { agent: false }).end(), 'response');
  return response as IncomingMessage;
}

test('downloads that stand still take places of their own account alone, and give them back', async () => {
  const { key } = await api.account();
  const link = await linkTo(key, LARGE);
  const another = await linkTo(key, 'y');
  const stalled: IncomingMessage[] = [];
  for (let n = 0; n < MAX_DOWNLOADS; n += 1) stalled.push(await stall(link));
  const refused = await api.call('GET', another);
  expect(refused).toMatchObject({ status: 429, json: { code: 'too_many' } });
  expect(refused.headers.get('retry-after')).toBe('5');
  // What sends no file needs no place, whoever asks.
  expect((await api.call('HEAD', another)).status).toBe(200);
  expect((await api.call('GET', '/exports', { key })).status).toBe(200);
  const neighbour = await api.account();
  expect((await api.call('GET', await linkTo(neighbour.key, 'z'))).text).toBe('z');

  const { rows } = await api.pool.query<{ count: number }>(
    `select count(*)::int as count from audit_log where action = 'export.downloaded' and subject_id = $1`,
    [new URL(another).pathname.split('/')[3]],
  );
  expect(rows[0]?.count).toBe(0);
  stalled[0]?.destroy();
  await waitFor('its place is free', async () => (await api.call('GET', another)).status === 200);
  for (const response of stalled) response.destroy();
});

test('a link counts among the requests of its export’s account', async () => {
  await using slow = await openTestApi({
    accountLimits: { requestsPerSecond: 8, maxOpen: 20, maxRunning: 8, maxDownloads: 8 },
  });
  const { key } = await slow.account();
  const { json: job } = await slow.call('POST', '/exports', { key, body: { resource: 'invoices' } });
  await completeExport(slow, job.id, 'x');
  const { url } = (await slow.call('GET', `/exports/${job.id}`, { key })).json.files[0];
  const answers = await Promise.all(Array.from({ length: 20 }, () => slow.call('GET', url)));
  const statuses = answers.map(({ status }) => status);
  expect(statuses).toContain(200);
  expect(statuses).toContain(429);
  expect((await slow.call('GET', '/healthz')).status).toBe(200);
});

test('who is refused for asking too much, or is not known, has its answer late, and others at once', async () => {
  const refusalMs = 300;
  await using late = await openTestApi({ requestLimits: { ...REQUEST_LIMITS, drainMs: 0, refusalMs } });
  const { key } = await late.account();
  // A refusal is delayed by half of it at least.
  const timed = async (path: string, by: string) => {
    const startedMs = performance.now();
    const { status } = await late.call('GET', path, { key: by });
    return { status, isLate: performance.now() - startedMs >= refusalMs / 2 - 1 };
  };
  expect(await timed('/exports', 'tk_unknown')).toEqual({ status: 401, isLate: true });
  expect(await timed(`/healthz?${'a&'.repeat(4_000)}`, key)).toEqual({ status: 400, isLate: true });
  // Nobody stands for a link that was altered.
  const altered = '/files/exports/exp_1/invoices.jsonl?expires=1&signature=x';
  expect(await timed(altered, key)).toEqual({ status: 403, isLate: true });
  // A busy machine may be late by itself now and then.
  await waitFor('a response at once', async () => {
    const { status, isLate } = await timed('/exports', key);
    expect(status).toBe(200);
    return !isLate;
  });
});

test('a key is told its rates, and is refused over a minute’s, but for probes, files and other keys', async () => {
  const perMinute = 5;
  await using limited = await openTestApi({
    accountLimits: { requestsPerSecond: 100, requestsPerMinute: perMinute },
  });
  const { key, id: accountId } = await limited.account();
  const policy = `"default";q=${perMinute};w=60, "burst";q=100;w=1`;
  const created = await limited.call('POST', '/exports', { key, body: { resource: 'invoices' } });
  expect(created.headers.get('ratelimit-policy')).toBe(policy);
  expect(created.headers.get('ratelimit')).toMatch(/^"default";r=4;t=\d+, "burst";r=\d+;t=1$/);
  await completeExport(limited, created.json.id, 'x');
  const shown = await limited.call('GET', `/exports/${created.json.id}`, { key });
  const [{ url, content_url: contentUrl }] = shown.json.files;
  // Files do not count, whether with a key or by a link; what fails does.
  for (let n = 0; n < 9; n++) expect((await limited.call('GET', contentUrl, { key })).status).toBe(302);
  for (const path of ['/exports/exp_none', '/exports?nothing=1', '/exports']) {
    const { headers } = await limited.call('GET', path, { key });
    expect(headers.get('ratelimit')).toContain('"default";r=');
  }
  // The first refusal is made by the count, the second before the request is looked at.
  for (const path of ['/exports', '/nowhere']) {
    const { status, headers, json } = await limited.call('GET', path, { key });
    expect({ status, code: json.code }).toEqual({ status: 429, code: 'too_many' });
    expect(json.detail).toContain(`more than ${perMinute} requests per minute`);
    const seconds = Number(headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(1);
    expect(seconds).toBeLessThanOrEqual(60);
    expect(headers.get('ratelimit-policy')).toBe(policy);
    expect(headers.get('ratelimit')).toBe(`"default";r=0;t=${seconds}`);
  }
  expect((await limited.call('GET', '/healthz', { key })).status).toBe(200);
  expect((await limited.call('GET', url)).status).toBe(200);
  expect((await limited.call('GET', contentUrl, { key })).status).toBe(302);
  const another = await limited.call('POST', `/admin/accounts/${accountId}/keys`, {
    key: ADMIN_KEY,
    body: {},
  });
  expect((await limited.call('GET', '/exports', { key: another.json.key })).status).toBe(200);
  for (let n = 0; n < 9; n++) {
    const { status, headers } = await limited.call('GET', '/exports', { key: ADMIN_KEY });
    expect({ status, field: headers.get('ratelimit') }).toEqual({ status: 200, field: null });
  }
});

test('a key over its rate is refused before its request is looked at, and few lines are written of it', async () => {
  const lines: string[] = [];
  await using busy = await openTestApi({
    accountLimits: { requestsPerSecond: 5, maxOpen: 200, maxRunning: 8, maxDownloads: 8 },
    log: createLog('info', {}, (line) => void lines.push(line)),
    corsOrigins: [ORIGIN],
  });
  const { key } = await busy.account();
  const neighbour = await busy.account();
  const answers = await Promise.all(Array.from({ length: 100 }, () => busy.call('GET', '/exports', { key })));
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThan(50);
  for (const { json, headers } of refused) {
    expect(json).toMatchObject({ code: 'too_many', request_id: headers.get('x-request-id') });
    expect(headers.get('retry-after')).toBe('1');
  }
  // Its route would not be found; a probe is answered whatever key it carries.
  const sent = { 'x-request-id': 'asked-for', origin: ORIGIN };
  await waitFor('it is refused unseen', async () => {
    await Promise.all(Array.from({ length: 10 }, () => busy.call('GET', '/exports', { key })));
    const unseen = await busy.call('GET', '/nowhere', { key, headers: sent });
    expect((await busy.call('GET', '/healthz', { key })).status).toBe(200);
    if (unseen.status !== 429) return false;
    expect(unseen.json).toMatchObject({ code: 'too_many', request_id: 'asked-for' });
    expect(unseen.headers.get('x-request-id')).toBe('asked-for');
    expect(unseen.headers.get('vary')).toBe('Origin');
    expect(unseen.headers.get('access-control-allow-origin')).toBe(ORIGIN);
    expect(unseen.headers.get('access-control-expose-headers')).toContain('Retry-After');
    return true;
  });
  expect((await busy.call('GET', '/exports', { key: neighbour.key })).status).toBe(200);
  const written = lines.filter((line) => line.includes('"status":429'));
  expect(written.length).toBeLessThan(refused.length / 2);
  const { text: metrics } = await busy.call('GET', '/metrics', { key: ADMIN_KEY });
  const counted = /^tandem_http_requests_total\{method="GET",route="\/exports",status="429"\} (\d+)$/m.exec(
    metrics,
  );
  expect(Number(counted?.[1])).toBeGreaterThanOrEqual(refused.length);
  expect(metrics).toMatch(/^tandem_http_requests_in_progress 1$/m);
});
