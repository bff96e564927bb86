import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BulkWorld, openBulkWorld } from '../support/bulk-world.ts';
import { waitFor } from '../support/wait-for.ts';

interface Asked {
  readonly key: string;
  readonly itemId: string;
}

/** What the handler answers; the number of times that it was asked for the same key counts the present one. */
type Answer = (asked: Asked, times: number, response: ServerResponse) => void;

let world: BulkWorld;
let answer: Answer = () => undefined;
const asked: Asked[] = [];

const handler = createServer(async (request: IncomingMessage, response) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  const one = {
    key: String(request.headers['idempotency-key']),
    itemId: (JSON.parse(text) as { item_id: string }).item_id,
  };
  asked.push(one);
  answer(one, asked.filter(({ key }) => key === one.key).length, response);
});

beforeAll(async () => {
  await new Promise<void>((resolve) => handler.listen(0, '127.0.0.1', resolve));
  const { port } = handler.address() as AddressInfo;
  world = await openBulkWorld({ handlerUrl: `http://127.0.0.1:${port}/render` });
  await world.startWorker();
});
afterAll(async () => {
  handler.closeAllConnections();
  handler.close();
  await world[Symbol.asyncDispose]();
});

const end = (response: ServerResponse, status: number, body: unknown = {}) => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
};

const render = (key: string, ids: readonly string[]) =>
  world.submit(key, { resource: 'invoices', operation: 'render', async: true, ids });

test('a handler that fails twice and then succeeds has one effect per item, by its key', async () => {
  const { key, ids } = await world.account(5);
  const effects = new Set<string>();
  answer = (one, times, response) => {
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
  answer = (one, _times, response) => {
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
  expect(asked.filter(({ key: used }) => used === `${json.job_id}/${ids[0]}`)).toHaveLength(1);
  expect(asked.some(({ itemId }) => itemId === '987654321')).toBe(false);
});

test('a handler that hangs for one item delays that item only', async () => {
  const { key, ids } = await world.account(12);
  const order: string[] = [];
  answer = (one, _times, response) => {
    if (one.itemId === ids[0]) return;
    order.push(one.itemId);
    end(response, 200);
  };
  const { json } = await render(key, ids);
  const under = await waitFor('the others are reported', async () => {
    const status = await world.status(key, json.job_id);
    return status.processed > 0 ? status : undefined;
  });
  expect(under).toMatchObject({ status: 'running', succeeded: 11, failed: 0, quota: { used: 11 } });
  const done = await world.until(key, json.job_id);
  expect(done).toMatchObject({ status: 'completed', succeeded: 11, failed: 1, quota: { used: 12 } });
  expect(done.recent_errors).toMatchObject([{ item_id: ids[0], code: 'handler_timeout' }]);
  expect(order).toHaveLength(11);
});

test('after a cancel no item is begun', async () => {
  const { key, ids } = await world.account(60);
  const held: ServerResponse[] = [];
  answer = (_one, _times, response) => {
    if (held.length < 3) held.push(response);
    else end(response, 200);
  };
  const { json } = await render(key, ids);
  await world.until(key, json.job_id, 'running');
  const before = asked.length;
  const cancelled = await world.api.call('POST', `/bulk/operations/${json.job_id}/cancel`, { key });
  expect(cancelled.status).toBe(202);
  const done = await world.until(key, json.job_id);
  expect(done.status).toBe('cancelled');
  const count = asked.length;
  expect(count - before).toBeLessThanOrEqual(60);
  expect(await world.results(key, json.job_id)).toHaveLength(done.processed);
  expect(asked).toHaveLength(count);
});
