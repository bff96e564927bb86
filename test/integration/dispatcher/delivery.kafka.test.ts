import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventId } from '../../../shared/domain/position.ts';
import {
  type DispatcherBed,
  openDispatcherBed,
  untilCursor,
  WEBHOOK_SECRET,
} from '../../support/dispatcher.ts';
import type { RunningService } from '../../support/services.ts';
import { waitFor } from '../../support/wait-for.ts';
import {
  openWebhookReceiver,
  type ReceivedRequest,
  type WebhookReceiver,
} from '../../support/webhook-receiver.ts';

let bed: DispatcherBed;
let dispatcher: RunningService;
let receivers: WebhookReceiver[] = [];
let accountCount = 0;

beforeAll(async () => {
  // No retry comes by itself, however long a test takes.
  bed = await openDispatcherBed({ RETRY_SCHEDULE_SECONDS: '3600,3600' });
  dispatcher = await bed.start();
});
afterAll(async () => {
  await dispatcher?.stop();
  await bed?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  // Receivers that are gone must not be retried into other tests' logs.
  await bed.pool.query('delete from webhooks');
  for (const receiver of receivers) await receiver[Symbol.asyncDispose]();
  receivers = [];
});

const receive = async () => {
  const receiver = await openWebhookReceiver();
  receivers.push(receiver);
  return receiver;
};
const newAccount = () => {
  accountCount += 1;
  return bed.addAccount(`acc_${accountCount}`);
};
/** The schedule's seconds are not what is tried here. */
const retryNow = async (id: string) => {
  await bed.pool.query(
    `update webhook_parked set next_attempt_at = now() where webhook_id = $1 and next_attempt_at > now()`,
    [id],
  );
  await bed.pool.query('update webhooks set updated_at = clock_timestamp() where id = $1', [id]);
};
const idOf = (lsn: number) => eventId({ commitLsn: BigInt(lsn), index: 0 });
const numberOf = (request: ReceivedRequest) => (JSON.parse(request.body) as { n: number }).n;
const recordOf = (request: ReceivedRequest) => (JSON.parse(request.body) as { record: number }).record;
const range = (count: number, from = 1) => Array.from({ length: count }, (_, n) => from + n);

test('an event arrives signed, with its ID, as the bytes that were recorded', async () => {
  const receiver = await receive();
  const accountId = await newAccount();
  const id = await bed.addEndpoint({ accountId, url: receiver.url });
  await bed.addEvents([{ accountId, lsn: 100 }]);
  await receiver.until('one delivery', (list) => list.length === 1);
  const [request] = receiver.received;
  expect(request?.id).toBe(idOf(100));
  expect(() =>
    new Webhook(WEBHOOK_SECRET).verify(request?.body ?? '', request?.headers as Record<string, string>),
  ).not.toThrow();
  await untilCursor(bed, id, 100);
  const attempts = await waitFor('the attempt to be noted', async () => {
    const { rows } = await bed.pool.query('select * from webhook_attempts where webhook_id = $1', [id]);
    return rows[0];
  });
  expect(attempts).toMatchObject({ event_id: idOf(100), attempt: 1, status: 200, outcome: 'delivered' });
});

test('a record that always fails holds back nobody else, and its later events wait without attempts', async () => {
  const receiver = await receive();
  const accountId = await newAccount();
  receiver.answer = (request) => (recordOf(request) === 7 ? 500 : 200);
  const id = await bed.addEndpoint({ accountId, url: receiver.url, maxInFlight: 4 });
  await bed.addEvents(range(300).map((lsn) => ({ accountId, lsn, record: lsn % 10 })));
  await receiver.until('the others', (list) => list.filter((one) => recordOf(one) !== 7).length === 270);
  expect(receiver.received.filter((one) => recordOf(one) === 7).map(numberOf)).toEqual([7]);
  const { rows } = await bed.pool.query('select * from webhook_parked where webhook_id = $1', [id]);
  expect(rows).toHaveLength(1);
  expect(rows[0]).toMatchObject({ attempt_count: 1, record_key: 'invoices/["7"]', state: 'waiting' });
  expect(rows[0].last_error).toMatchObject({ status: 500 });
});

test('events of other types are passed over, and a hand-off leaves out what the export holds', async () => {
  const receiver = await receive();
  const accountId = await newAccount();
  const id = await bed.addEndpoint({
    accountId,
    url: receiver.url,
    events: ['invoice.created', 'customer.*'],
    handOff: { snapshot: '100:110:105', untilLsn: '0/1F4' },
  });
  await bed.addEvents([
    { accountId, lsn: 400, xid: 99, type: 'invoice.created' },
    { accountId, lsn: 410, xid: 105, type: 'invoice.created' },
    { accountId, lsn: 420, xid: 105, type: 'invoice.updated' },
    { accountId, lsn: 430, xid: 106, type: 'customer.updated' },
    { accountId, lsn: 440, xid: 110, type: 'customer.updated', record: 2 },
    { accountId, lsn: 501, xid: 100, type: 'invoice.created', record: 3 },
  ]);
  await untilCursor(bed, id, 501);
  expect(receiver.received.map(numberOf).sort()).toEqual([410, 440, 501]);
});

test('410 disables the endpoint and keeps its events', async () => {
  const receiver = await receive();
  const accountId = await newAccount();
  receiver.answer = () => 410;
  const id = await bed.addEndpoint({ accountId, url: receiver.url, maxInFlight: 1 });
  await bed.addEvents(range(5).map((lsn) => ({ accountId, lsn, record: lsn })));
  await waitFor('the endpoint to be given back', async () => {
    const { status, lease_owner } = await bed.endpoint(id);
    return status === 'disabled' && lease_owner === null;
  });
  expect(receiver.received).toHaveLength(1);
  expect(await bed.endpoint(id)).toMatchObject({ cursor_lsn: '0/0', done: [] });
});

test('an endpoint that was resumed stays so, whatever becomes of requests from before it was disabled', async () => {
  const receiver = await receive();
  const accountId = await newAccount();
  const held: (() => void)[] = [];
  receiver.answer = (request, response) => {
    if (numberOf(request) !== 1) return 410;
    held.push(() => response.writeHead(200).end());
    return undefined;
  };
  const id = await bed.addEndpoint({ accountId, url: receiver.url, maxInFlight: 2 });
  await bed.addEvents(range(2).map((lsn) => ({ accountId, lsn, record: lsn })));
  const untilStatus = (wanted: string) =>
    waitFor(`status ${wanted}`, async () => (await bed.endpoint(id)).status === wanted);
  await untilStatus('disabled');
  expect(held).toHaveLength(1);
  await bed.pool.query(
    `/* arranged */ update webhooks set status = 'active', status_reason = null where id = $1`,
    [id],
  );
  receiver.answer = () => 200;
  for (const answer of held) answer();
  await untilCursor(bed, id, 2);
  expect(await bed.endpoint(id)).toMatchObject({ status: 'active' });
  expect(receiver.received.map(numberOf)).toEqual([1, 2, 2]);
});

test('an endpoint that asks for a rest gets it, though others of its answers are still to come', async () => {
  const receiver = await receive();
  const accountId = await newAccount();
  const held: (() => void)[] = [];
  receiver.answer = (_request, response) => {
    if (receiver.received.length < 5) {
      held.push(() => response.writeHead(200).end());
      return undefined;
    }
    if (receiver.received.length > 5) return 200;
    response.writeHead(429, { 'retry-after': '2' }).end();
    return undefined;
  };
  const id = await bed.addEndpoint({ accountId, url: receiver.url, maxInFlight: 5 });
  await bed.addEvents(range(10).map((lsn) => ({ accountId, lsn, record: lsn })));
  await receiver.until('as many as go at once', (list) => list.length === 5);
  const restMs = async () => (await bed.endpoint(id)).rest_until;
  await waitFor('the rest', async () => (await restMs()) !== null);
  for (const answer of held) answer();
  await untilCursor(bed, id, 10);
  const [asked, next] = receiver.received.slice(4);
  expect((next?.atMs ?? 0) - (asked?.atMs ?? 0)).toBeGreaterThanOrEqual(1_990);
});

test('an endpoint that answers "not now" rests as long as it says and loses nothing', async () => {
  const receiver = await receive();
  const accountId = await newAccount();
  receiver.answer = (_request, response) => {
    if (receiver.received.length > 1) return 200;
    response.writeHead(503, { 'retry-after': '2' }).end();
    return undefined;
  };
  await bed.addEndpoint({ accountId, url: receiver.url, maxInFlight: 1 });
  await bed.addEvents(range(3).map((lsn) => ({ accountId, lsn, record: lsn })));
  await receiver.until('all three', (list) => list.length === 4);
  const [first, second] = receiver.received;
  expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(1_990);
  const { rows } = await bed.pool.query('select 1 from webhook_parked');
  expect(rows).toHaveLength(0);
});

test('an endpoint that is down costs a few rows, is probed now and then, and catches up by itself', async () => {
  const receiver = await receive();
  const accountId = await newAccount();
  receiver.answer = () => 500;
  const id = await bed.addEndpoint({ accountId, url: receiver.url });
  await bed.addEvents(range(2_000).map((lsn) => ({ accountId, lsn, record: lsn })));
  await waitFor(
    'the breaker to open and two probes to fail',
    async () => Number((await bed.endpoint(id)).failures_in_row) >= 12,
  );
  const { rows } = await bed.pool.query('select 1 from webhook_parked where webhook_id = $1', [id]);
  expect(rows.length).toBeLessThan(10);
  const triedBefore = receiver.received.length;
  expect(triedBefore).toBeLessThan(40);
  receiver.answer = () => 200;
  await retryNow(id);
  await untilCursor(bed, id, 2_000);
  await waitFor('the retries', async () => {
    const left = await bed.pool.query('select 1 from webhook_parked where webhook_id = $1', [id]);
    return left.rows.length === 0;
  });
  const delivered = new Set(receiver.received.slice(triedBefore).map(({ id: eventIdOfOne }) => eventIdOfOne));
  expect(delivered.size).toBe(2_000);
});

test('a paused endpoint gets nothing, keeps its events and goes on in order', async () => {
  const receiver = await receive();
  const accountId = await newAccount();
  const id = await bed.addEndpoint({ accountId, url: receiver.url });
  await bed.addEvents([{ accountId, lsn: 1 }]);
  await receiver.until('the first', (list) => list.length === 1);
  await bed.pool.query(`/* arranged */ update webhooks set status = 'paused' where id = $1`, [id]);
  await waitFor('the pause to be applied', async () => {
    const { settings_version, applied_version } = await bed.endpoint(id);
    return settings_version === applied_version;
  });
  await bed.addEvents(range(20, 2).map((lsn) => ({ accountId, lsn })));
  await waitFor('the endpoint to be given back', async () => (await bed.endpoint(id)).lease_owner === null);
  expect(receiver.received).toHaveLength(1);
  await bed.pool.query(`/* arranged */ update webhooks set status = 'active' where id = $1`, [id]);
  await receiver.until('the rest', (list) => list.length === 21);
  expect(receiver.received.map(numberOf)).toEqual(range(21));
});

test('an endpoint that hangs delays no other', async () => {
  const [hanging, healthy] = [await receive(), await receive()];
  hanging.answer = () => undefined;
  const [slowAccount, fastAccount] = [await newAccount(), await newAccount()];
  await bed.addEndpoint({ accountId: slowAccount, url: hanging.url });
  await bed.addEndpoint({ accountId: fastAccount, url: healthy.url });
  await bed.addEvents(range(100).map((lsn) => ({ accountId: slowAccount, lsn, record: lsn })));
  await hanging.until('its window to be full', () => hanging.openCount === 20);
  await bed.addEvents(range(10).map((lsn) => ({ accountId: fastAccount, lsn, record: lsn })));
  await healthy.until('all ten', (list) => list.length === 10);
  // None of those that hang has been given up meanwhile.
  expect(hanging.openCount).toBe(20);
});

test('an endpoint deleted with work under way leaves nothing behind', async () => {
  const receiver = await receive();
  const accountId = await newAccount();
  const held: (() => void)[] = [];
  let isHolding = true;
  receiver.answer = (_request, response) => {
    if (!isHolding || receiver.received.length <= 4) return 200;
    held.push(() => response.writeHead(200).end());
    return undefined;
  };
  const id = await bed.addEndpoint({ accountId, url: receiver.url, maxInFlight: 2 });
  await bed.addEvents(range(50).map((lsn) => ({ accountId, lsn, record: lsn })));
  await receiver.until('its window to be full', () => held.length === 2);
  await bed.pool.query('delete from webhooks where id = $1', [id]);
  isHolding = false;
  for (const answer of held) answer();
  await waitFor('requests to end', () => receiver.openCount === 0);
  const other = await receive();
  await bed.addEndpoint({ accountId, url: other.url });
  await other.until('the next endpoint to get all', (list) => list.length === 50);
  expect(receiver.received.length).toBeLessThan(50);
});

test('a dead delivery that is asked for again is sent again', async () => {
  const receiver = await receive();
  const accountId = await newAccount();
  receiver.answer = () => 400;
  const id = await bed.addEndpoint({ accountId, url: receiver.url });
  await bed.addEvents([{ accountId, lsn: 5 }]);
  await waitFor('the failure to be scheduled for retry', async () => {
    const { rows } = await bed.pool.query('select 1 from webhook_parked where webhook_id = $1', [id]);
    return rows.length === 1;
  });
  receiver.answer = () => 200;
  await bed.pool.query(
    `/* arranged */ update webhook_parked set state = 'waiting', attempt_count = 0, next_attempt_at = now() where webhook_id = $1`,
    [id],
  );
  await bed.pool.query('update webhooks set updated_at = clock_timestamp() where id = $1', [id]);
  await receiver.until('the redelivery', (list) => list.length === 2);
  expect(receiver.received.map((request) => request.id)).toEqual([idOf(5), idOf(5)]);
  await waitFor('the retry to go', async () => {
    const { rows } = await bed.pool.query('select 1 from webhook_parked where webhook_id = $1', [id]);
    return rows.length === 0;
  });
});

test('connections to the control store that are cut in mid-work cost nothing but time', async () => {
  const receiver = await receive();
  const accountId = await newAccount();
  const id = await bed.addEndpoint({ accountId, url: receiver.url });
  await bed.addEvents(range(1_500).map((lsn) => ({ accountId, lsn, record: lsn % 100 })));
  for (const part of [100, 400, 800]) {
    await receiver.until(`${part} deliveries`, (list) => list.length >= part);
    await bed.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name like 'tandem dispatcher%'`,
    );
  }
  await untilCursor(bed, id, 1_500);
  expect(new Set(receiver.received.map((request) => request.id)).size).toBe(1_500);
  expect(receiver.received.length).toBeLessThanOrEqual(1_500 + 3 * 20);
});

test('an endpoint whose secret does not open waits, and holds up nobody', async () => {
  const receiver = await receive();
  const accountId = await newAccount();
  const broken = await bed.addEndpoint({ accountId, url: `${receiver.url}?broken` });
  await bed.pool.query(
    `update webhooks set secrets = '[{"ciphertext": "k1.AAAA.AAAA", "expires_at": null}]' where id = $1`,
    [broken],
  );
  // It may have been taken up while its secret was still good.
  await waitFor('the secret to be taken over', async () => {
    const { settings_version, applied_version, lease_owner } = await bed.endpoint(broken);
    return lease_owner !== null && settings_version === applied_version;
  });
  await bed.addEvents([{ accountId, lsn: 1 }]);
  const other = await newAccount();
  const id = await bed.addEndpoint({ accountId: other, url: receiver.url });
  await bed.addEvents([{ accountId: other, lsn: 2 }]);
  await untilCursor(bed, id, 2);
  expect(receiver.received.map(({ path }) => path)).toEqual(['/hook']);
});
