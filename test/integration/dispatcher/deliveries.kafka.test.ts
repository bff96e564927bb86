import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type DeliveryBed, idOf, openDeliveryBed } from '../../support/delivery-bed.ts';
import { untilCursor } from '../../support/dispatcher.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { ReceivedRequest } from '../../support/webhook-receiver.ts';

let deliveries: DeliveryBed;
beforeAll(async () => {
  deliveries = await openDeliveryBed();
});
afterAll(() => deliveries?.[Symbol.asyncDispose]());
beforeEach(() => deliveries.begin());
afterEach(() => deliveries.end());

const verify = (secret: string, request: ReceivedRequest | undefined) =>
  new Webhook(secret).verify(request?.body ?? '', request?.headers as Record<string, string>);

const attemptsOf = (id: string, query: string, count: number) =>
  waitFor(`${count} attempts to be noted`, async () => {
    const { json } = await deliveries.call('GET', `/webhooks/${id}/attempts?${query}`);
    return json.data.length >= count ? (json.data as { id: string; event_id: string }[]) : undefined;
  });

test('a test arrives at once, signed, and its outcome is the answer', async () => {
  const { receiver, call, subscribe } = deliveries;
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
    account_id: deliveries.account.id,
    data: { id },
  });
  const attempts = await waitFor('the attempt to be noted', async () => {
    const { json: list } = await call('GET', `/webhooks/${id}/attempts`);
    return list.data.length > 0 ? list.data : undefined;
  });
  expect(attempts[0]).toMatchObject({ event_id: json.event_id, attempt: 1, status: 201 });
});

test('an attempt shows what was sent and returned, without what must stay secret', async () => {
  const { bed, api, receiver, call, subscribe } = deliveries;
  const { id, secret } = await subscribe({ headers: { authorization: 'Bearer abcdef', 'x-team': 'blue' } });
  receiver.answer = (_request, response) => {
    response.writeHead(422, { 'x-reason': 'r'.repeat(300), 'set-cookie': 'session=abcdef' });
    response.end(`no ${'!'.repeat(2_000)}`);
    return undefined;
  };
  await bed.addEvents([{ accountId: deliveries.account.id, lsn: 10 }]);
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
  await bed.pool.query('delete from events where account_id = $1', [deliveries.account.id]);
  const { json: later } = await call('GET', `/webhooks/${id}/attempts/${attempt?.id}`);
  expect(later.request).toMatchObject({ body: null, body_bytes: null, headers: json.request.headers });
  deliveries.account = await api.account();
  expect((await call('GET', `/webhooks/${id}/attempts/${attempt?.id}`)).status).toBe(404);
});

test('attempts are counted by outcome and duration, without tests, and what waits is told', async () => {
  const { bed, receiver, call, subscribe, statsOf } = deliveries;
  const { id } = await subscribe();
  receiver.answer = (request, response) => {
    if (request.id !== idOf(20)) setTimeout(() => response.writeHead(200).end(), 100);
    return request.id === idOf(20) ? 500 : undefined;
  };
  await call('POST', `/webhooks/${id}/test`);
  await bed.addEvents([10, 20, 30].map((lsn) => ({ accountId: deliveries.account.id, lsn, record: lsn })));
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
  const { bed, call, subscribe, statsOf } = deliveries;
  const { id } = await subscribe({ batch: { max_events: 10, max_wait_ms: 0 } });
  await call('POST', `/webhooks/${id}/pause`);
  await bed.addEvents([10, 20, 30].map((lsn) => ({ accountId: deliveries.account.id, lsn, record: lsn })));
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
  const { bed, receiver, call, subscribe } = deliveries;
  const { id } = await subscribe({ batch: { max_events: 3, max_wait_ms: 0 } });
  await call('POST', `/webhooks/${id}/pause`);
  await bed.addEvents([10, 20, 30].map((lsn) => ({ accountId: deliveries.account.id, lsn, record: lsn })));
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
  const { receiver, call, subscribe } = deliveries;
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
  const { receiver, call, subscribe } = deliveries;
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

test('a type taken off the endpoint while a retry waits is not sent', async () => {
  const { bed, receiver, call, subscribe, retryCount } = deliveries;
  const { id } = await subscribe();
  receiver.answer = () => 500;
  await bed.addEvents([{ accountId: deliveries.account.id, lsn: 10, type: 'invoice.deleted' }]);
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
  const { bed, receiver, call, subscribe } = deliveries;
  const { id, secret } = await subscribe();
  const { json } = await call('POST', `/webhooks/${id}/rotate-secret`);
  await bed.addEvents([{ accountId: deliveries.account.id, lsn: 10 }]);
  await receiver.until('the event', (list) => list.length === 1);
  for (const each of [secret, json.secret]) expect(() => verify(each, receiver.received[0])).not.toThrow();
});
