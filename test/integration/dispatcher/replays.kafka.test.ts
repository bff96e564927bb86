import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { formatPosition } from '../../../shared/domain/position.ts';
import { type DeliveryBed, idOf, openDeliveryBed } from '../../support/delivery-bed.ts';
import { untilCursor } from '../../support/dispatcher.ts';
import { waitFor } from '../../support/wait-for.ts';

let deliveries: DeliveryBed;
beforeAll(async () => {
  deliveries = await openDeliveryBed();
});
afterAll(() => deliveries?.[Symbol.asyncDispose]());
beforeEach(() => deliveries.begin());
afterEach(() => deliveries.end());

test('a replay delivers again from its place on, with the same IDs, in order', async () => {
  const { bed, receiver, call, subscribe, idsReceived } = deliveries;
  const { id } = await subscribe();
  await bed.addEvents([10, 20, 30, 40].map((lsn) => ({ accountId: deliveries.account.id, lsn })));
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
  const { bed, receiver, call, subscribe } = deliveries;
  const { id } = await subscribe({ max_in_flight: 8 });
  const lsns = Array.from({ length: 600 }, (_, n) => 100 + n);
  await bed.addEvents(lsns.map((lsn) => ({ accountId: deliveries.account.id, lsn, record: lsn % 7 })));
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
  const { bed, receiver, call, subscribe } = deliveries;
  const { id } = await subscribe();
  receiver.answer = () => 500;
  await bed.addEvents([10, 20].map((lsn) => ({ accountId: deliveries.account.id, lsn, record: lsn })));
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
  const { bed, receiver, call, subscribe, idsReceived, retryCount } = deliveries;
  const { id } = await subscribe();
  receiver.answer = (_request, response) => {
    if (receiver.received.length !== 2) return receiver.received.length === 1 ? 500 : 200;
    void call('POST', `/events/${idOf(10)}/redeliver`, { webhook_id: id }).then(() => response.end());
    return undefined;
  };
  await bed.addEvents([{ accountId: deliveries.account.id, lsn: 10 }]);
  await receiver.until('it to come once more', (list) => list.length === 3);
  await waitFor('no retry to be left', async () => (await retryCount(id)) === 0);
  expect(idsReceived()).toEqual([idOf(10), idOf(10), idOf(10)]);
});

test('a replay of what failed sends what was given up since, once, and nothing that was delivered meanwhile', async () => {
  const { bed, receiver, call, subscribe, idsReceived, retryCount, statsOf } = deliveries;
  const { id } = await subscribe();
  receiver.answer = ({ id: event }) => (event === idOf(40) ? 200 : 500);
  const dead = async () => (await statsOf(id)).dead_letters;
  await bed.addEvents([10, 20].map((lsn) => ({ accountId: deliveries.account.id, lsn, record: lsn })));
  await waitFor('two to be given up', async () => (await dead()) === 2);
  const from = new Date().toISOString();
  await bed.addEvents([30, 40, 50].map((lsn) => ({ accountId: deliveries.account.id, lsn, record: lsn })));
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
  const { bed, receiver, call, subscribe, idsReceived } = deliveries;
  const { id } = await subscribe();
  const show = async () => (await call('GET', `/webhooks/${id}`)).json;
  expect(await show()).toMatchObject({ order: 'record', held_by: null });
  expect((await call('PATCH', `/webhooks/${id}`, { order: 'strict' })).json.order).toBe('strict');
  expect((await call('PATCH', `/webhooks/${id}`, { order: 'some' })).status).toBe(422);
  receiver.answer = ({ id: event }) => (event === idOf(3) ? 500 : 200);
  await bed.addEvents([1, 2, 3, 4, 5].map((lsn) => ({ accountId: deliveries.account.id, lsn, record: lsn })));
  await receiver.until('the one that fails', (list) => list.length === 3);
  await waitFor('it to be named', async () => (await show()).held_by === idOf(3));
  receiver.answer = () => 200;
  await untilCursor(bed, id, 5);
  expect(idsReceived()).toEqual([1, 2, 3, 3, 4, 5].map(idOf));
  await waitFor('nothing to be held', async () => (await show()).held_by === null);
});

test('a replay from before what is kept, or from nowhere, is refused and moves nothing', async () => {
  const { bed, call, subscribe } = deliveries;
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
  const { bed, receiver, call, subscribe, idsReceived, retryCount } = deliveries;
  const { id } = await subscribe();
  receiver.answer = (request, response) => {
    if (request.id !== idOf(10)) return 200;
    response.writeHead(422).end('no such customer');
    return undefined;
  };
  await bed.addEvents([10, 20].map((lsn) => ({ accountId: deliveries.account.id, lsn, record: lsn })));
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
  const { bed, receiver, call, subscribe, idsReceived } = deliveries;
  const { id } = await subscribe();
  await bed.addEvents([10, 20].map((lsn) => ({ accountId: deliveries.account.id, lsn })));
  await untilCursor(bed, id, 20);
  await call('POST', `/events/${idOf(10)}/redeliver`, { webhook_id: id });
  await receiver.until('the redelivery', (list) => list.length === 3);
  expect(idsReceived()).toEqual([10, 20, 10].map(idOf));
  await call('POST', `/webhooks/${id}/pause`);
  await bed.addEvents([{ accountId: deliveries.account.id, lsn: 30 }]);
  const early = await call('POST', `/events/${idOf(30)}/redeliver`, { webhook_id: id });
  expect(early).toMatchObject({ status: 202, json: { state: 'upcoming' } });
  await call('POST', `/webhooks/${id}/resume`);
  await receiver.until('it', (list) => list.length === 4);
});

test('nothing of another account can be tested, replayed, looked at or delivered', async () => {
  const { bed, api, receiver, call, subscribe } = deliveries;
  const { id } = await subscribe({ events: ['invoice.created'] });
  await bed.addEvents([{ accountId: deliveries.account.id, lsn: 10 }]);
  expect(await call('POST', `/events/${idOf(10)}/redeliver`, { webhook_id: id })).toMatchObject({
    status: 409,
    json: { detail: expect.stringContaining('invoice.updated') },
  });
  expect((await call('POST', `/events/${idOf(11)}/redeliver`, { webhook_id: id })).status).toBe(404);
  deliveries.account = await api.account();
  expect((await call('POST', `/webhooks/${id}/test`)).status).toBe(404);
  expect((await call('POST', `/webhooks/${id}/replay`, { since: idOf(1) })).status).toBe(404);
  expect((await call('GET', `/webhooks/${id}/dead-letters`)).status).toBe(404);
  expect((await call('POST', `/events/${idOf(10)}/redeliver`, { webhook_id: id })).status).toBe(404);
  const { id: own } = await subscribe();
  expect((await call('POST', `/events/${idOf(10)}/redeliver`, { webhook_id: own })).status).toBe(404);
  expect(receiver.received).toEqual([]);
});
