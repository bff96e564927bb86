import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { eventId, formatPosition } from '../../../shared/domain/position.ts';
import { openApiOver } from '../../support/api-over-dispatcher.ts';
import type { TestApi } from '../../support/api-server.ts';
import {
  type DispatcherBed,
  openDispatcherBed,
  type RunningDispatcher,
  untilCursor,
} from '../../support/dispatcher.ts';
import { waitFor } from '../../support/wait-for.ts';
import {
  openWebhookReceiver,
  type ReceivedRequest,
  type WebhookReceiver,
} from '../../support/webhook-receiver.ts';

let bed: DispatcherBed;
let dispatcher: RunningDispatcher;
let api: TestApi;
let receiver: WebhookReceiver;
let account: { id: string; key: string };

beforeAll(async () => {
  // One short delay: a delivery is given up at its second failure.
  bed = await openDispatcherBed({ RETRY_SCHEDULE_SECONDS: '0.2' });
  dispatcher = await bed.start();
  api = await openApiOver(bed);
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await dispatcher?.stop();
  await bed?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  receiver = await openWebhookReceiver();
  account = await api.account();
});
afterEach(async () => {
  await bed.pool.query('delete from webhooks');
  await receiver[Symbol.asyncDispose]();
});

const call = (method: string, path: string, body?: unknown) =>
  api.call(method, path, { key: account.key, ...(body === undefined ? {} : { body }) });
const subscribe = async (fields: Record<string, unknown> = {}) => {
  const { status, json } = await call('POST', '/webhooks', { url: receiver.url, ...fields });
  expect(status).toBe(201);
  return json as { id: string; secret: string };
};
const idOf = (lsn: number) => eventId({ commitLsn: BigInt(lsn), index: 0 });
const idsReceived = () => receiver.received.map(({ id }) => id);
const verify = (secret: string, request: ReceivedRequest | undefined) =>
  new Webhook(secret).verify(request?.body ?? '', request?.headers as Record<string, string>);
const retryCount = async (id: string) => {
  const { rows } = await bed.pool.query<{ count: number }>(
    'select count(*)::int as count from webhook_parked where webhook_id = $1',
    [id],
  );
  return rows[0]?.count;
};

test('a test arrives at once, signed, and its outcome is the answer', async () => {
  const { id, secret } = await subscribe({ events: ['invoice.created'], headers: { 'x-team': 'blue' } });
  receiver.answer = (_request, response) => {
    response.writeHead(201).end('thanks');
    return undefined;
  };
  const { status, json } = await call('POST', `/webhooks/${id}/test`);
  expect(status).toBe(200);
  expect(json).toMatchObject({ webhook_id: id, status: 201, outcome: 'delivered', excerpt: 'thanks' });
  const [request] = receiver.received;
  expect(request?.id).toBe(json.event_id);
  expect(request?.headers['x-team']).toBe('blue');
  expect(verify(secret, request)).toMatchObject({
    id: json.event_id,
    type: 'webhook.test',
    account_id: account.id,
    data: { id },
  });
  const attempts = await waitFor('the attempt to be noted', async () => {
    const { json: list } = await call('GET', `/webhooks/${id}/attempts`);
    return list.data.length > 0 ? list.data : undefined;
  });
  expect(attempts[0]).toMatchObject({ event_id: json.event_id, attempt: 1, status: 201 });
});

const attemptsOf = (id: string, query: string, count: number) =>
  waitFor(`${count} attempts to be noted`, async () => {
    const { json } = await call('GET', `/webhooks/${id}/attempts?${query}`);
    return json.data.length >= count ? (json.data as { id: string; event_id: string }[]) : undefined;
  });

test('an attempt shows what was sent and returned, without what must stay secret', async () => {
  const { id, secret } = await subscribe({ headers: { authorization: 'Bearer abcdef', 'x-team': 'blue' } });
  receiver.answer = (_request, response) => {
    response.writeHead(422, { 'x-reason': 'r'.repeat(300), 'set-cookie': 'session=abcdef' });
    response.end(`no ${'!'.repeat(2_000)}`);
    return undefined;
  };
  await bed.addEvents([{ accountId: account.id, lsn: 10 }]);
  const [attempt] = await attemptsOf(id, `event_id=${idOf(10)}&outcome=failed`, 2);
  const { text, json } = await call('GET', `/webhooks/${id}/attempts/${attempt?.id}`);
  const sent = receiver.received[1];
  expect(json).toMatchObject({ event_ids: [idOf(10)], attempt: 2, status: 422 });
  expect(json.request).toEqual({
    method: 'POST',
    headers: {
      authorization: '[hidden]',
      'x-team': '[hidden]',
      'user-agent': sent?.headers['user-agent'],
      'content-type': 'application/json',
      'webhook-id': sent?.id,
      'webhook-timestamp': sent?.headers['webhook-timestamp'],
      'webhook-signature': sent?.headers['webhook-signature'],
    },
    body: sent?.body,
    body_bytes: sent?.body.length,
    is_body_cut: false,
  });
  verify(secret, { ...json.request, id: '', path: '', atMs: 0 });
  expect(json.response).toMatchObject({
    status: 422,
    headers: { 'x-reason': `${'r'.repeat(200)}…`, 'set-cookie': '[hidden]' },
    headers_omitted: 0,
    body: `no ${'!'.repeat(1_021)}`,
    is_body_cut: true,
  });
  const { rows } = await bed.pool.query(
    'select row_to_json(a)::text as row from webhook_attempts a where webhook_id = $1',
    [id],
  );
  for (const kept of [text, JSON.stringify(rows)]) {
    expect(kept).not.toContain('abcdef');
    expect(kept).not.toContain(secret.slice('whsec_'.length));
  }
  // Its event is gone, and with it the body.
  await bed.pool.query('delete from events where account_id = $1', [account.id]);
  const { json: later } = await call('GET', `/webhooks/${id}/attempts/${attempt?.id}`);
  expect(later.request).toMatchObject({ body: null, body_bytes: null, headers: json.request.headers });
  account = await api.account();
  expect((await call('GET', `/webhooks/${id}/attempts/${attempt?.id}`)).status).toBe(404);
});

const statsOf = async (id: string) => (await call('GET', `/webhooks/${id}/stats`)).json;

test('attempts are counted by outcome and duration, without tests, and what waits is told', async () => {
  const { id } = await subscribe();
  receiver.answer = (request, response) => {
    if (request.id !== idOf(20)) setTimeout(() => response.writeHead(200).end(), 100);
    return request.id === idOf(20) ? 500 : undefined;
  };
  await call('POST', `/webhooks/${id}/test`);
  await bed.addEvents([10, 20, 30].map((lsn) => ({ accountId: account.id, lsn, record: lsn })));
  const stats = await waitFor('four attempts to be counted', async () => {
    const json = await statsOf(id);
    const isSettled = json.dead_letters === 1 && json.behind_by.events === 0;
    return isSettled && json.attempts.delivered + json.attempts.failed === 4 ? json : undefined;
  });
  expect(stats).toMatchObject({
    webhook_id: id,
    attempts: { delivered: 2, failed: 2 },
    events: { delivered: 2, failed: 2 },
    behind_by: { events: 0, is_exact: true, seconds: 0 },
    retrying: 0,
    dead_letters: 1,
    bucket_seconds: 300,
  });
  expect(stats.duration_ms.p95).toBeGreaterThan(80);
  expect(stats.buckets.length).toBeGreaterThan(0);
  const byBucket = stats.buckets.map(
    ({ attempts }: { attempts: { delivered: number } }) => attempts.delivered,
  );
  expect(byBucket.reduce((sum: number, value: number) => sum + value)).toBe(2);
});

test('a batch counts its events', async () => {
  const { id } = await subscribe({ batch: { max_events: 10, max_wait_ms: 0 } });
  await call('POST', `/webhooks/${id}/pause`);
  await bed.addEvents([10, 20, 30].map((lsn) => ({ accountId: account.id, lsn, record: lsn })));
  expect(await statsOf(id)).toMatchObject({
    attempts: { delivered: 0, failed: 0 },
    duration_ms: null,
    behind_by: { events: 3, is_exact: true },
    buckets: [],
  });
  await call('POST', `/webhooks/${id}/resume`);
  await waitFor('all to be counted', async () => {
    const { attempts, events } = await statsOf(id);
    return attempts.delivered === 1 && events.delivered === 3;
  });
});

test('the body of a batch is shown as it was sent, and its attempts are found by each of its events', async () => {
  const { id } = await subscribe({ batch: { max_events: 3, max_wait_ms: 0 } });
  await call('POST', `/webhooks/${id}/pause`);
  await bed.addEvents([10, 20, 30].map((lsn) => ({ accountId: account.id, lsn, record: lsn })));
  await call('POST', `/webhooks/${id}/resume`);
  await untilCursor(bed, id, 30);
  for (const lsn of [10, 20, 30]) {
    const [attempt] = await attemptsOf(id, `event_id=${idOf(lsn)}`, 1);
    const { json } = await call('GET', `/webhooks/${id}/attempts/${attempt?.id}`);
    const sent = receiver.received.find((request) => request.id === json.request.headers['webhook-id']);
    expect(json.event_ids).toContain(idOf(lsn));
    expect(json.request.body).toBe(sent?.body);
  }
  const { json: tried } = await call('POST', `/webhooks/${id}/test`);
  const [attempt] = await attemptsOf(id, `event_id=${tried.event_id}`, 1);
  const { json } = await call('GET', `/webhooks/${id}/attempts/${attempt?.id}`);
  expect(json.request.body).toBe(receiver.received.at(-1)?.body);
});

test('a test that fails says so, is not repeated, and leaves the endpoint as it is, paused or not', async () => {
  const { id } = await subscribe();
  await call('POST', `/webhooks/${id}/pause`);
  receiver.answer = () => 410;
  const first = await call('POST', `/webhooks/${id}/test`);
  expect(first.json).toMatchObject({ status: 410, outcome: 'failed' });
  receiver.answer = () => 200;
  expect((await call('POST', `/webhooks/${id}/test`)).json.outcome).toBe('delivered');
  expect(receiver.received).toHaveLength(2);
  expect((await call('GET', `/webhooks/${id}`)).json).toMatchObject({ status: 'paused', failures_in_row: 0 });
});

test('one test of an endpoint at a time', async () => {
  const { id } = await subscribe();
  let finish: (() => void) | undefined;
  receiver.answer = (_request, response) => {
    finish = () => response.writeHead(200).end();
    return undefined;
  };
  const first = call('POST', `/webhooks/${id}/test`);
  await receiver.until('the test', (list) => list.length === 1);
  expect((await call('POST', `/webhooks/${id}/test`)).status).toBe(409);
  finish?.();
  expect((await first).json.outcome).toBe('delivered');
});

test('a replay delivers again from its place on, with the same IDs, in order', async () => {
  const { id } = await subscribe();
  await bed.addEvents([10, 20, 30, 40].map((lsn) => ({ accountId: account.id, lsn })));
  await untilCursor(bed, id, 40);
  const { status, json } = await call('POST', `/webhooks/${id}/replay`, { since: idOf(20) });
  expect(status).toBe(200);
  expect(json.status).toBe('active');
  await receiver.until('the replay', (list) => list.length === 6);
  expect(idsReceived()).toEqual([10, 20, 30, 40, 30, 40].map(idOf));
  await untilCursor(bed, id, 40);
  await call('POST', `/webhooks/${id}/replay`, { since: new Date(Date.now() - 60_000).toISOString() });
  await receiver.until('the second replay', (list) => list.length === 10);
  expect(idsReceived().slice(6)).toEqual([10, 20, 30, 40].map(idOf));
});

test('a replay in the middle of deliveries sends everything after its place again, in order', async () => {
  const { id } = await subscribe({ max_in_flight: 8 });
  const lsns = Array.from({ length: 600 }, (_, n) => 100 + n);
  await bed.addEvents(lsns.map((lsn) => ({ accountId: account.id, lsn, record: lsn % 7 })));
  await receiver.until('some', (list) => list.length >= 150);
  const numbersFrom = (start: number) =>
    receiver.received.slice(start).map(({ body }) => (JSON.parse(body) as { n: number }).n);
  const firstCourse = new Set(numbersFrom(0));
  expect((await call('POST', `/webhooks/${id}/replay`, { since: idOf(104) })).status).toBe(200);
  const answeredAt = receiver.received.length;
  await untilCursor(bed, id, 699);
  const all = numbersFrom(0);
  const times = (lsn: number) => all.filter((n) => n === lsn).length;
  expect(lsns.filter((lsn) => times(lsn) === 0)).toEqual([]);
  expect(lsns.filter((lsn) => lsn > 104 && firstCourse.has(lsn) && times(lsn) < 2)).toEqual([]);
  for (let record = 0; record < 7; record++) {
    const numbers = numbersFrom(answeredAt).filter((n) => n % 7 === record);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  }
});

test('a replay takes up what was given up since its place, and forgets no older failure', async () => {
  const { id } = await subscribe();
  receiver.answer = () => 500;
  await bed.addEvents([10, 20].map((lsn) => ({ accountId: account.id, lsn, record: lsn })));
  await waitFor('both to be given up', async () => {
    const { json } = await call('GET', `/webhooks/${id}/dead-letters`);
    return json.data.length === 2;
  });
  receiver.answer = () => 200;
  await call('POST', `/webhooks/${id}/replay`, { since: idOf(10) });
  await receiver.until('the later one', (list) => list.length === 5);
  const { json } = await call('GET', `/webhooks/${id}/dead-letters`);
  expect(json.data.map((letter: { event_id: string }) => letter.event_id)).toEqual([idOf(10)]);
});

test('what is asked for again while its retry is under way comes once more', async () => {
  const { id } = await subscribe();
  receiver.answer = (_request, response) => {
    if (receiver.received.length !== 2) return receiver.received.length === 1 ? 500 : 200;
    void call('POST', `/events/${idOf(10)}/redeliver`, { webhook_id: id }).then(() => response.end());
    return undefined;
  };
  await bed.addEvents([{ accountId: account.id, lsn: 10 }]);
  await receiver.until('it to come once more', (list) => list.length === 3);
  await waitFor('no retry to be left', async () => (await retryCount(id)) === 0);
  expect(idsReceived()).toEqual([idOf(10), idOf(10), idOf(10)]);
});

test('a replay of what failed sends what was given up since, once, and nothing that was delivered meanwhile', async () => {
  const { id } = await subscribe();
  receiver.answer = ({ id: event }) => (event === idOf(40) ? 200 : 500);
  const dead = async () => (await statsOf(id)).dead_letters;
  await bed.addEvents([10, 20].map((lsn) => ({ accountId: account.id, lsn, record: lsn })));
  await waitFor('two to be given up', async () => (await dead()) === 2);
  const from = new Date().toISOString();
  await bed.addEvents([30, 40, 50].map((lsn) => ({ accountId: account.id, lsn, record: lsn })));
  await waitFor('four to be given up', async () => (await dead()) === 4);
  const to = new Date().toISOString();
  receiver.answer = () => 200;
  await call('POST', `/events/${idOf(50)}/redeliver`, { webhook_id: id });
  await waitFor('one to be delivered', async () => (await retryCount(id)) === 3);
  const before = receiver.received.length;
  const answer = await call('POST', `/webhooks/${id}/replay`, { only: 'failed', from, to });
  expect(answer.status).toBe(202);
  expect([answer.json.from, answer.json.to].map(Date.parse)).toEqual([from, to].map(Date.parse));
  await waitFor('it to end', async () => (await statsOf(id)).failed_replay === null);
  await waitFor('nothing to wait', async () => (await statsOf(id)).behind_by.events === 0);
  expect(idsReceived().slice(before)).toEqual([idOf(30)]);
  // All that is left, by a moment.
  const since = new Date(Date.now() - 3_600_000).toISOString();
  expect((await call('POST', `/webhooks/${id}/replay`, { only: 'failed', since })).status).toBe(202);
  await receiver.until('the others', (list) => list.length === before + 3);
  expect(
    idsReceived()
      .slice(before + 1)
      .sort(),
  ).toEqual([idOf(10), idOf(20)]);
  await waitFor('no retry to be left', async () => (await retryCount(id)) === 0);
});

test('in strict order an event that fails holds back the whole feed, and is named', async () => {
  const { id } = await subscribe();
  const show = async () => (await call('GET', `/webhooks/${id}`)).json;
  expect(await show()).toMatchObject({ order: 'record', held_by: null });
  expect((await call('PATCH', `/webhooks/${id}`, { order: 'strict' })).json.order).toBe('strict');
  expect((await call('PATCH', `/webhooks/${id}`, { order: 'some' })).status).toBe(422);
  receiver.answer = ({ id: event }) => (event === idOf(3) ? 500 : 200);
  await bed.addEvents([1, 2, 3, 4, 5].map((lsn) => ({ accountId: account.id, lsn, record: lsn })));
  await receiver.until('the one that fails', (list) => list.length === 3);
  await waitFor('it to be named', async () => (await show()).held_by === idOf(3));
  receiver.answer = () => 200;
  await untilCursor(bed, id, 5);
  expect(idsReceived()).toEqual([1, 2, 3, 3, 4, 5].map(idOf));
  await waitFor('nothing to be held', async () => (await show()).held_by === null);
});

test('a replay from before what is kept, or from nowhere, is refused and moves nothing', async () => {
  const { id } = await subscribe();
  const pointers = async (body: unknown) => {
    const { status, json } = await call('POST', `/webhooks/${id}/replay`, body);
    expect(status).toBe(422);
    return json.errors.map(({ pointer }: { pointer: string }) => pointer);
  };
  expect(await pointers({ since: new Date(Date.now() - 31 * 86_400_000).toISOString() })).toEqual(['/since']);
  expect(await pointers({ since: 'yesterday' })).toEqual(['/since']);
  expect(await pointers({})).toEqual(['/since']);
  expect(await pointers({ since: idOf(1), after_export: 'exp_1' })).toEqual(['/since']);
  const now = new Date().toISOString();
  expect(await pointers({ since: idOf(1), from: now })).toEqual(['/from']);
  expect(await pointers({ only: 'failed' })).toEqual(['/from']);
  expect(await pointers({ only: 'failed', since: idOf(1) })).toEqual(['/since']);
  expect(await pointers({ only: 'failed', from: now, to: now })).toEqual(['/from']);
  expect(await pointers({ only: 'failed', from: now, after_export: 'exp_1' })).toEqual(['/after_export']);
  expect((await bed.endpoint(id)).cursor_epoch).toBe(0);
});

test('what was given up is listed with its last failure, and is delivered once it is asked for', async () => {
  const { id } = await subscribe();
  receiver.answer = (request, response) => {
    if (request.id !== idOf(10)) return 200;
    response.writeHead(422).end('no such customer');
    return undefined;
  };
  await bed.addEvents([10, 20].map((lsn) => ({ accountId: account.id, lsn, record: lsn })));
  const letters = await waitFor('the delivery to be given up', async () => {
    const { json } = await call('GET', `/webhooks/${id}/dead-letters`);
    return json.data.length > 0 ? json.data : undefined;
  });
  expect(letters).toEqual([
    {
      event_id: idOf(10),
      type: 'invoice.updated',
      position: formatPosition({ commitLsn: 10n, index: 0 }),
      record: 'invoices/["10"]',
      attempts: 2,
      last_attempt_at: expect.any(String),
      status: 422,
      outcome: 'failed',
      excerpt: 'no such customer',
    },
  ]);
  receiver.answer = () => 200;
  const again = await call('POST', `/events/${idOf(10)}/redeliver`, { webhook_id: id });
  expect(again).toMatchObject({ status: 202, json: { state: 'queued', webhook_id: id } });
  await waitFor('it to be delivered', async () => (await retryCount(id)) === 0);
  expect(idsReceived().filter((received) => received === idOf(10))).toHaveLength(3);
  expect((await call('GET', `/webhooks/${id}/dead-letters`)).json.data).toEqual([]);
});

test('an event that was delivered is delivered again, one that is to come is not sent ahead', async () => {
  const { id } = await subscribe();
  await bed.addEvents([10, 20].map((lsn) => ({ accountId: account.id, lsn })));
  await untilCursor(bed, id, 20);
  await call('POST', `/events/${idOf(10)}/redeliver`, { webhook_id: id });
  await receiver.until('the redelivery', (list) => list.length === 3);
  expect(idsReceived()).toEqual([10, 20, 10].map(idOf));
  await call('POST', `/webhooks/${id}/pause`);
  await bed.addEvents([{ accountId: account.id, lsn: 30 }]);
  const early = await call('POST', `/events/${idOf(30)}/redeliver`, { webhook_id: id });
  expect(early).toMatchObject({ status: 202, json: { state: 'upcoming' } });
  await call('POST', `/webhooks/${id}/resume`);
  await receiver.until('it', (list) => list.length === 4);
});

test('nothing of another account can be tested, replayed, looked at or delivered', async () => {
  const { id } = await subscribe({ events: ['invoice.created'] });
  await bed.addEvents([{ accountId: account.id, lsn: 10 }]);
  expect(await call('POST', `/events/${idOf(10)}/redeliver`, { webhook_id: id })).toMatchObject({
    status: 409,
    json: { detail: expect.stringContaining('invoice.updated') },
  });
  expect((await call('POST', `/events/${idOf(11)}/redeliver`, { webhook_id: id })).status).toBe(404);
  account = await api.account();
  expect((await call('POST', `/webhooks/${id}/test`)).status).toBe(404);
  expect((await call('POST', `/webhooks/${id}/replay`, { since: idOf(1) })).status).toBe(404);
  expect((await call('GET', `/webhooks/${id}/dead-letters`)).status).toBe(404);
  expect((await call('POST', `/events/${idOf(10)}/redeliver`, { webhook_id: id })).status).toBe(404);
  const { id: own } = await subscribe();
  expect((await call('POST', `/events/${idOf(10)}/redeliver`, { webhook_id: own })).status).toBe(404);
  expect(receiver.received).toEqual([]);
});

test('a type taken off the endpoint while a retry waits is not sent', async () => {
  const { id } = await subscribe();
  receiver.answer = () => 500;
  await bed.addEvents([{ accountId: account.id, lsn: 10, type: 'invoice.deleted' }]);
  // Longer than the schedule, so that the retry still waits when the type goes.
  await waitFor('the failure to be scheduled for retry', async () => (await retryCount(id)) === 1);
  await call('POST', `/webhooks/${id}/pause`);
  const tried = receiver.received.length;
  receiver.answer = () => 200;
  await bed.pool.query(`/* arranged */ update webhook_parked set state = 'waiting', next_attempt_at = now()`);
  await call('PATCH', `/webhooks/${id}`, { events: ['invoice.created'] });
  await call('POST', `/webhooks/${id}/resume`);
  await waitFor('the retry to be dropped', async () => (await retryCount(id)) === 0);
  expect(receiver.received).toHaveLength(tried);
});

test('after a rotation deliveries verify with either secret', async () => {
  const { id, secret } = await subscribe();
  const { json } = await call('POST', `/webhooks/${id}/rotate-secret`);
  await bed.addEvents([{ accountId: account.id, lsn: 10 }]);
  await receiver.until('the event', (list) => list.length === 1);
  for (const each of [secret, json.secret]) expect(() => verify(each, receiver.received[0])).not.toThrow();
});
