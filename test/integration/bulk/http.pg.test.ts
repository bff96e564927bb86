import type { ServerResponse } from 'node:http';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BulkHandler, answerWith as end, openBulkHandler } from '../../support/bulk-handler.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';
import { waitFor } from '../../support/wait-for.ts';

const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;

let world: BulkWorld;
let handler: BulkHandler;

beforeAll(async () => {
  handler = await openBulkHandler();
  world = await openBulkWorld({ handlerUrl: handler.url });
  await world.startWorker({ BULK_HANDLER_SECRETS: SECRET });
});
afterAll(async () => {
  await handler[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const render = (key: string, ids: readonly string[]) =>
  world.submit(key, { resource: 'invoices', operation: 'render', async: true, ids });

test('a handler that fails twice and then succeeds has one effect per item, by its key', async () => {
  const { key, ids } = await world.account(5);
  const effects = new Set<string>();
  handler.answer = (one, times, response) => {
    if (times <= 2) return end(response, 500);
    effects.add(one.key);
    end(response, 200);
  };
  const { json } = await render(key, ids);
  expect(await world.until(key, json.job_id)).toMatchObject({ status: 'completed', succeeded: 5 });
  expect([...effects].sort()).toEqual(ids.map((id) => `${json.job_id}/${id}`).sort());
});

test('a 4xx is final, and its reason is the result’s', async () => {
  const { key, ids } = await world.account(2);
  handler.answer = (one, _times, response) => {
    if (one.itemId === ids[0]) end(response, 422, { reason: 'no template' });
    else end(response, 204);
  };
  const { json } = await render(key, [...ids, '987654321']);
  const done = await world.until(key, json.job_id);
  expect(done).toMatchObject({ status: 'completed', succeeded: 1, failed: 2 });
  expect(await world.results(key, json.job_id)).toMatchObject([
    { status: 'failed', code: 'handler_refused', message: 'no template' },
    { status: 'succeeded' },
    { status: 'failed', code: 'not_found' },
  ]);
  expect(handler.asked.filter(({ key: used }) => used === `${json.job_id}/${ids[0]}`)).toHaveLength(1);
  expect(handler.asked.some(({ itemId }) => itemId === '987654321')).toBe(false);
});

test('an item for which its handler hangs fails alone', async () => {
  const { key, ids } = await world.account(12);
  const order: string[] = [];
  handler.answer = (one, _times, response) => {
    if (one.itemId === ids[0]) return;
    order.push(one.itemId);
    end(response, 200);
  };
  const { json } = await render(key, ids);
  const done = await world.until(key, json.job_id);
  expect(done).toMatchObject({ status: 'completed', succeeded: 11, failed: 1, quota: { used: 12 } });
  expect(done.recent_errors).toMatchObject([{ item_id: ids[0], code: 'handler_timeout' }]);
  expect(new Set(order).size).toBe(11);
});

test('a handler that hangs for more items than there are requests at once delays no other item of the job', async () => {
  const { key, ids } = await world.account(60);
  const hanging = new Set(ids.slice(0, 12));
  handler.answer = (one, _times, response) => {
    if (!hanging.has(one.itemId)) end(response, 200);
  };
  const { json } = await render(key, ids);
  const done = await world.until(key, json.job_id);
  expect(done).toMatchObject({ status: 'completed', succeeded: 48, failed: 12 });
  expect(done.error_summary).toEqual([{ code: 'handler_timeout', count: 12 }]);
  const attempts = handler.asked.filter((one) => one.key.startsWith(json.job_id) && hanging.has(one.itemId));
  expect(attempts).toHaveLength(48);
  // The others are all asked for before it is asked for any of them the last time.
  const asked = handler.asked.filter((one) => one.key.startsWith(json.job_id)).map(({ itemId }) => itemId);
  const lastOfOthers = Math.max(...ids.slice(12).map((id) => asked.indexOf(id)));
  const fourth = (id: string) => asked.flatMap((one, at) => (one === id ? [at] : []))[3] ?? 0;
  expect(Math.min(...[...hanging].map(fourth))).toBeGreaterThan(lastOfOthers);
});

test('without async the handler is asked at once, and results come in the order of the request', async () => {
  const { key, ids } = await world.account(30);
  let inFlight = 0;
  let most = 0;
  handler.answer = (one, times, response) => {
    inFlight += 1;
    most = Math.max(most, inFlight);
    // Late ones first, so that the order of the answers is not that of the request.
    setTimeout(
      () => {
        inFlight -= 1;
        if (one.itemId === ids[3] && times === 1) end(response, 503);
        else if (one.itemId === ids[5]) end(response, 409, { detail: 'locked' });
        else end(response, 200);
      },
      Number(one.itemId) % 3 === 0 ? 30 : 1,
    );
  };
  const body = {
    resource: 'invoices',
    operation: 'render',
    ids: [...ids.toReversed(), ids[0], '987654321', 'x'],
  };
  const { status, json } = await world.submit(key, body);
  expect(status).toBe(200);
  expect(json).toMatchObject({ processed: 33, succeeded: 29, failed: 3, skipped: 1, total: 33 });
  const shown = json.results.map((item: Record<string, unknown>) => item.item_id);
  expect(shown).toEqual([...ids.toReversed(), ids[0], '987654321', 'x']);
  expect(json.results[24]).toMatchObject({ status: 'failed', code: 'handler_refused', message: 'locked' });
  expect(json.results.slice(30).map((item: Record<string, unknown>) => item.code)).toEqual([
    'duplicate',
    'not_found',
    'invalid_id',
  ]);
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(10);
  const { json: list } = await world.api.call('GET', '/bulk/operations', { key });
  expect(list.data).toEqual([]);
});

test('a retry whose first answer was lost asks the handler for what was not settled only, under the same key', async () => {
  const { key, ids } = await world.account(3);
  const calls: string[] = [];
  handler.answer = (one, _times, response) => {
    calls.push(one.key);
    end(response, 200);
  };
  await world.api.pool.query(`
    create function tandem.keep() returns trigger language plpgsql as $$ begin return null; end $$;
    create trigger keep before delete on tandem.bulk_ledger for each row execute function tandem.keep()`);
  const body = { resource: 'invoices', operation: 'render', ids };
  const headers = { 'idempotency-key': 'lost' };
  const first = await world.submit(key, body, headers);
  await world.api.pool.query(`drop trigger keep on tandem.bulk_ledger; delete from idempotency_keys`);
  await world.api.pool.query(`delete from tandem.bulk_ledger where job_id like 'sync_%' and seq = 1`);
  const again = await world.submit(key, body, headers);
  expect(again.json.results.map(({ status }: { status: string }) => status)).toEqual(
    Array(3).fill('succeeded'),
  );
  expect(first.status).toBe(200);
  expect(calls).toHaveLength(4);
  expect(calls[3]).toBe(calls.find((one) => one.endsWith(`/${ids[1]}`)));
});

test('a retry of a filter whose first answer was lost is charged for both attempts, and refused beyond the quota', async () => {
  const { key, id, ids } = await world.account(3);
  await world.api.pool.query('update accounts set bulk_quota = 2 where id = $1', [id]);
  const setStatus = (record: string | undefined, status: string) =>
    world.api.pool.query('update documint.invoices set status = $2 where id = $1', [record, status]);
  await setStatus(ids[2], 'paid');
  // What the handler is asked for no longer matches the filter.
  handler.answer = (one, _times, response) =>
    void setStatus(one.itemId, 'void').then(() => end(response, 200));
  await world.api.pool.query(`
    create function tandem.stay() returns trigger language plpgsql as $$ begin return null; end $$;
    create trigger stay before delete on tandem.bulk_ledger for each row execute function tandem.stay()`);
  const filter = { id: { in: ids }, status: { eq: 'open' } };
  const submit = () =>
    world.submit(
      key,
      { resource: 'invoices', operation: 'render', filter },
      { 'idempotency-key': 'lost filter' },
    );
  expect(await submit()).toMatchObject({ status: 200, json: { succeeded: 2 } });
  // As if the api had died before it committed its answer and what it had used; then one more record matches.
  await world.api.pool.query('delete from idempotency_keys');
  await world.api.pool.query('update bulk_quota_use set used = 0 where account_id = $1', [id]);
  await setStatus(ids[2], 'open');
  expect(await submit()).toMatchObject({ status: 429, json: { quota: { limit: 2 } } });
  await world.api.pool.query('update accounts set bulk_quota = 3 where id = $1', [id]);
  expect(await submit()).toMatchObject({ status: 200, json: { succeeded: 3 } });
  const { rows } = await world.api.pool.query(
    'select used::int, reserved::int from bulk_quota_use where account_id = $1',
    [id],
  );
  expect(rows).toEqual([{ used: 3, reserved: 0 }]);
  await world.api.pool.query('drop trigger stay on tandem.bulk_ledger');
});

test('one account has two synchronous operations with a handler at once, and is told to wait for the third', async () => {
  const { key, ids } = await world.account(3);
  const other = await world.account(1);
  const held: ServerResponse[] = [];
  handler.answer = (one, _times, response) => {
    if (ids.includes(one.itemId)) held.push(response);
    else end(response, 200);
  };
  const run = (owner: string, id: string | undefined) =>
    world.submit(owner, { resource: 'invoices', operation: 'render', ids: [id] });
  const running = [run(key, ids[0]), run(key, ids[1])];
  await waitFor('both are asked for', async () => held.length >= 2);
  const third = await run(key, ids[2]);
  expect(third.status).toBe(429);
  expect(third.headers.get('retry-after')).toBe('2');
  expect((await run(other.key, other.ids[0])).status).toBe(200);
  handler.answer = (_one, _times, response) => end(response, 200);
  for (const response of held) end(response, 200);
  expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200]);
  expect((await run(key, ids[2])).status).toBe(200);
});

test('requests are signed as webhooks are, with the idempotency key as their ID', async () => {
  const { key, ids } = await world.account(1);
  handler.answer = (_one, _times, response) => end(response, 200);
  const { json } = await render(key, ids);
  await world.until(key, json.job_id);
  const one = handler.asked.find(({ key: used }) => used.startsWith(json.job_id));
  expect(one?.headers['webhook-id']).toBe(one?.key);
  expect(new Webhook(SECRET).verify(one?.text ?? '', { ...one?.headers })).toMatchObject({ item_id: ids[0] });
});
