import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { openApiOver } from '../../support/api-over-dispatcher.ts';
import type { TestApi } from '../../support/api-server.ts';
import { type DispatcherBed, openDispatcherBed, untilCursor } from '../../support/dispatcher.ts';
import type { RunningService } from '../../support/services.ts';
import { waitFor } from '../../support/wait-for.ts';
import {
  openWebhookReceiver,
  type ReceivedRequest,
  type WebhookReceiver,
} from '../../support/webhook-receiver.ts';

let bed: DispatcherBed;
let dispatcher: RunningService;
let api: TestApi;
let account: { id: string; key: string };
let receiver: WebhookReceiver;

beforeAll(async () => {
  bed = await openDispatcherBed({ RETRY_SCHEDULE_SECONDS: '0.2,0.2' });
  dispatcher = await bed.start();
  api = await openApiOver(bed);
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await dispatcher?.stop();
  await bed?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  account = await api.account();
  receiver = await openWebhookReceiver();
});
afterEach(async () => {
  await bed.pool.query('delete from webhooks');
  await receiver[Symbol.asyncDispose]();
});

interface Event {
  readonly id: string;
  readonly n: number;
  readonly record: number;
}

const call = (method: string, path: string, body?: unknown) =>
  api.call(method, path, { key: account.key, ...(body === undefined ? {} : { body }) });
const subscribe = async (batch: unknown, fields: Record<string, unknown> = {}) => {
  const made = await call('POST', '/webhooks', { url: receiver.url, batch, ...fields });
  expect(made.status).toBe(201);
  return made.json as { id: string; secret: string };
};
const eventsOf = ({ body }: ReceivedRequest) => (JSON.parse(body) as { events: Event[] }).events;
const numbersOf = (request: ReceivedRequest) => eventsOf(request).map(({ n }) => n);
const range = (count: number, from = 1) => Array.from({ length: count }, (_, n) => from + n);
const addEvents = (lsns: readonly number[], recordOf: (lsn: number) => number) =>
  bed.addEvents(lsns.map((lsn) => ({ accountId: account.id, lsn, record: recordOf(lsn) })));
/** Answers by what a batch holds. */
const answerBy = (statusOf: (events: readonly Event[]) => number) => {
  const delivered: Event[] = [];
  receiver.answer = (request) => {
    const events = eventsOf(request);
    const status = statusOf(events);
    if (status < 300) delivered.push(...events);
    return status;
  };
  return delivered;
};
const retryCount = async (id: string) =>
  (await bed.pool.query('select 1 from webhook_parked where webhook_id = $1', [id])).rowCount ?? 0;

/** Until whoever delivers has the endpoint's settings. */
const untilApplied = (id: string) =>
  waitFor('the settings to be applied', async () => {
    const { settings_version, applied_version } = await bed.endpoint(id);
    return settings_version === applied_version;
  });

test('events come together, signed, in order, and their request is noted once', async () => {
  const { id, secret } = await subscribe({ max_events: 40, max_wait_ms: 200 }, { max_in_flight: 1 });
  await addEvents(range(100), (lsn) => lsn % 7);
  await receiver.until('all', (list) => list.flatMap(numbersOf).length === 100);
  expect(receiver.received.map((request) => numbersOf(request).length)).toEqual([40, 40, 20]);
  expect(receiver.received.flatMap(numbersOf)).toEqual(range(100));
  const [request] = receiver.received;
  const verified = new Webhook(secret).verify(
    request?.body ?? '',
    request?.headers as Record<string, string>,
  );
  expect(verified).toMatchObject({ id: request?.id, type: 'batch' });
  await untilCursor(bed, id, 100);
  const attempts = await waitFor('the attempts to be noted', async () => {
    const { json } = await call('GET', `/webhooks/${id}/attempts`);
    return json.data.length === 3 ? json.data : undefined;
  });
  const first = request && eventsOf(request);
  expect(attempts[2]).toMatchObject({
    event_id: first?.[0]?.id,
    batch: { id: request?.id, event_count: 40, last_event_id: first?.[39]?.id },
    outcome: 'delivered',
  });
});

test('an event that always fails holds back its own record only, and is retried by itself', async () => {
  const { id } = await subscribe({ max_events: 100, max_wait_ms: 0 });
  const delivered = answerBy((events) => (events.some(({ n }) => n === 33) ? 500 : 200));
  await addEvents(range(200), (lsn) => lsn % 40);
  // All but those of its record: 33, 73, 113, 153 and 193.
  await waitFor('the others', () => delivered.filter(({ record }) => record !== 33).length === 195);
  expect(receiver.received.length).toBeLessThan(40);
  await waitFor('it to be given up and its record to go on', () => delivered.length >= 199);
  for (const record of range(40, 0)) {
    const numbers = delivered.filter((event) => event.record === record).map(({ n }) => n);
    expect(numbers).toEqual(range(200).filter((n) => n % 40 === record && n !== 33));
  }
  const { json } = await call('GET', `/webhooks/${id}/dead-letters`);
  expect(json.data).toMatchObject([{ record: 'invoices/["33"]', attempts: 3, status: 500 }]);
  const alone = receiver.received
    .map(numbersOf)
    .filter((numbers) => numbers.length === 1 && numbers[0] === 33);
  expect(alone).toHaveLength(3);
});

test('a batch that is answered "not now" comes again as it was, under the same ID', async () => {
  await subscribe({ max_events: 10, max_wait_ms: 100 });
  receiver.answer = (_request, response) => {
    if (receiver.received.length > 1) return 200;
    response.writeHead(429, { 'retry-after': '1' }).end();
    return undefined;
  };
  await addEvents(range(5), (lsn) => lsn);
  await receiver.until('it', (list) => list.length === 1);
  await addEvents(range(5, 6), (lsn) => lsn);
  await receiver.until('all', (list) => list.flatMap(numbersOf).length === 15);
  const [first, ...others] = receiver.received;
  const again = others.find(({ id }) => id === first?.id);
  expect(again?.body).toBe(first?.body);
  expect((again?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(990);
});

test('an endpoint that is down costs a few rows, and gets every event once it is back', async () => {
  const { id } = await subscribe({ max_events: 50, max_wait_ms: 0 });
  let isUp = false;
  const delivered = answerBy(() => (isUp ? 200 : 500));
  await addEvents(range(1_500), (lsn) => lsn % 100);
  await waitFor('the breaker to open', async () => Number((await bed.endpoint(id)).failures_in_row) >= 11);
  expect(receiver.received.length).toBeLessThan(80);
  expect(await retryCount(id)).toBeLessThan(10);
  isUp = true;
  await untilCursor(bed, id, 1_500);
  await waitFor('the retries', async () => (await retryCount(id)) === 0);
  expect(delivered.map(({ n }) => n).toSorted((a, b) => a - b)).toEqual(range(1_500));
  for (const record of range(100, 0)) {
    const numbers = delivered.filter((event) => event.record === record).map(({ n }) => n);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  }
});

test('one in five requests fails: every event comes, each record’s in order', async () => {
  const { id } = await subscribe({ max_events: 20, max_wait_ms: 10 });
  let count = 0;
  // A single event is spared, so that none is given up by chance.
  const delivered = answerBy((events) => (++count % 5 === 0 && events.length > 1 ? 500 : 200));
  await addEvents(range(2_000), (lsn) => lsn % 50);
  await untilCursor(bed, id, 2_000);
  await waitFor('the retries', async () => (await retryCount(id)) === 0);
  expect(delivered).toHaveLength(2_000);
  for (const record of range(50, 0)) {
    const numbers = delivered.filter((event) => event.record === record).map(({ n }) => n);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  }
});

test('410 to a batch disables the endpoint and keeps its events', async () => {
  const { id } = await subscribe({ max_events: 10, max_wait_ms: 0 }, { max_in_flight: 1 });
  answerBy(() => 410);
  await addEvents(range(25), (lsn) => lsn);
  await waitFor('it to be given back', async () => {
    const { status, lease_owner } = await bed.endpoint(id);
    return status === 'disabled' && lease_owner === null;
  });
  expect(receiver.received).toHaveLength(1);
  const delivered = answerBy(() => 200);
  expect((await call('POST', `/webhooks/${id}/resume`)).status).toBe(200);
  await waitFor('all', () => delivered.length === 25);
});

test('batches are asked for, changed and given up while events come, and a test is a batch too', async () => {
  const { id } = await subscribe(null);
  await addEvents([1], () => 1);
  await receiver.until('one alone', (list) => list.length === 1);
  const batch = { max_events: 5, max_wait_ms: 50 };
  expect((await call('PATCH', `/webhooks/${id}`, { batch })).json.batch).toEqual(batch);
  await untilApplied(id);
  await addEvents(range(5, 2), () => 1);
  await receiver.until('five together', (list) => list.length === 2);
  expect(receiver.received.slice(1).map(numbersOf)).toEqual([range(5, 2)]);
  expect((await call('POST', `/webhooks/${id}/test`)).json.outcome).toBe('delivered');
  expect(JSON.parse(receiver.received[2]?.body ?? '')).toMatchObject({
    type: 'batch',
    events: [{ type: 'webhook.test' }],
  });
  expect((await call('PATCH', `/webhooks/${id}`, { description: 'x' })).json.batch).toEqual(batch);
  expect((await call('PATCH', `/webhooks/${id}`, { batch: null })).json.batch).toBeNull();
  await untilApplied(id);
  await addEvents([7, 8], () => 1);
  await receiver.until('two alone', (list) => list.length === 5);
  expect(receiver.received.slice(3).map(({ body }) => (JSON.parse(body) as Event).n)).toEqual([7, 8]);
});

test('a rate limit counts requests, and a pause stops batches', async () => {
  const { id } = await subscribe({ max_events: 10, max_wait_ms: 0 }, { rate_limit: 10, max_in_flight: 3 });
  const held: (() => void)[] = [];
  // Those that follow the third are held, so that not all can have come before the pause.
  receiver.answer = (_request, response) => {
    if (receiver.received.length <= 3) return 200;
    held.push(() => response.writeHead(200).end());
    return undefined;
  };
  await addEvents(range(200), (lsn) => lsn);
  await receiver.until('some, and some under way', () => held.length === 3);
  await call('POST', `/webhooks/${id}/pause`);
  await untilApplied(id);
  receiver.answer = () => 200;
  for (const answer of held) answer();
  await waitFor('it to be given back', async () => (await bed.endpoint(id)).lease_owner === null);
  expect(receiver.received).toHaveLength(6);
  await call('POST', `/webhooks/${id}/resume`);
  await receiver.until('all', (list) => list.length === 20);
  const times = receiver.received.slice(6).map(({ atMs }) => atMs);
  const spanMs = (times.at(-1) ?? 0) - (times[0] ?? 0);
  expect(spanMs).toBeGreaterThan((times.length - 2) * 95);
});
