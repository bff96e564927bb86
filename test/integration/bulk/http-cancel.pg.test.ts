import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answerWith, type BulkHandler, openBulkHandler } from '../../support/bulk-handler.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';
import { waitFor } from '../../support/wait-for.ts';

let world: BulkWorld;
let handler: BulkHandler;

beforeAll(async () => {
  handler = await openBulkHandler();
  world = await openBulkWorld({ handlerUrl: handler.url, handlerMs: 60_000 });
});
afterAll(async () => {
  await handler[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const ask = (key: string, jobId: string, what: 'cancel' | 'pause' | 'resume') =>
  world.api.call('POST', `/bulk/operations/${jobId}/${what}`, { key });

/**
 * A job whose handler notes each item's effect when it is asked. The first `answered` are answered at once, the others are held.
 * `effects` are the IDs in the order of the effects, each once, as the keys tell.
 */
async function start({ items, answered }: { items: number; answered: number }) {
  const { key, ids } = await world.account(items);
  const effects = new Map<string, string>();
  const held: ServerResponse[] = [];
  const isAnswered = new Set(ids.slice(0, answered));
  handler.answer = (one, _times, response) => {
    effects.set(one.key, one.itemId);
    if (isAnswered.has(one.itemId)) answerWith(response, 200);
    else held.push(response);
  };
  const { json } = await world.submit(key, { resource: 'invoices', operation: 'render', async: true, ids });
  return { key, ids, jobId: json.job_id as string, effects, held };
}

/** What the job tells of its items, once it has ended. */
async function told(key: string, jobId: string) {
  const status = await world.until(key, jobId);
  expect(status.processed).toBe(status.succeeded + status.failed + status.skipped);
  const results = await world.results(key, jobId);
  expect(results).toHaveLength(status.processed);
  return { status, results, itemIds: results.map((item) => item.item_id).sort() };
}

test('after a cancel no item is begun, and answers that were on their way are results', async () => {
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const { key, jobId, effects, held } = await start({ items: 60, answered: 0 });
  await waitFor('both chunks have all their requests under way', () => held.length === 20);
  const cancelling = ask(key, jobId, 'cancel');
  await waitFor('the cancel holds', async () => {
    const { rowCount } = await world.api.pool.query(
      'select from bulk_jobs where id = $1 and ending is not null',
      [jobId],
    );
    return rowCount === 1;
  });
  await world.untilRenewed(jobId);
  for (const response of held) answerWith(response, 200);
  expect(await cancelling).toMatchObject({ status: 202, json: { status: 'cancelled' } });
  const { status, itemIds } = await told(key, jobId);
  expect(status).toMatchObject({ status: 'cancelled', succeeded: 20, failed: 0, skipped: 0 });
  expect(itemIds).toEqual([...effects.values()].sort());
  expect(effects.size).toBe(20);
});

test('an item whose handler had no answer when a cancel was over is a failed one that may have been done', async () => {
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const { key, jobId, effects, held } = await start({ items: 40, answered: 5 });
  await waitFor('ten requests are held', () => held.length === 10);
  await ask(key, jobId, 'cancel');
  const { status, results, itemIds } = await told(key, jobId);
  expect(status).toMatchObject({
    status: 'cancelled',
    succeeded: 5,
    failed: 10,
    skipped: 0,
    quota: { used: 15 },
  });
  expect(itemIds).toEqual([...effects.values()].sort());
  const failed = results.filter((item) => item.status === 'failed');
  expect(new Set(failed.map((item) => item.code))).toEqual(new Set(['handler_timeout']));
  expect(failed[0].message).toContain('may have applied it');
});

test('after a pause no item is begun, and what had no answer is asked for again under its key', async () => {
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const { key, ids, jobId, effects, held } = await start({ items: 40, answered: 5 });
  await waitFor('ten requests are held', () => held.length === 10);
  await ask(key, jobId, 'pause');
  await untilLetGo(jobId);
  expect(await world.status(key, jobId)).toMatchObject({ status: 'paused', processed: 5, succeeded: 5 });
  expect(effects.size).toBe(15);
  handler.answer = (one, _times, response) => {
    effects.set(one.key, one.itemId);
    answerWith(response, 200);
  };
  await ask(key, jobId, 'resume');
  const { status, itemIds } = await told(key, jobId);
  expect(status).toMatchObject({ status: 'completed', succeeded: 40, failed: 0 });
  expect(itemIds).toEqual([...effects.values()].sort());
  expect(effects.size).toBe(ids.length);
});

test('a pause that is followed by a cancel tells of what it broke off', async () => {
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const { key, jobId, effects, held } = await start({ items: 40, answered: 5 });
  await waitFor('ten requests are held', () => held.length === 10);
  await ask(key, jobId, 'pause');
  await untilLetGo(jobId);
  await ask(key, jobId, 'cancel');
  const { status, itemIds } = await told(key, jobId);
  expect(status).toMatchObject({ status: 'cancelled', succeeded: 5, failed: 10 });
  expect(itemIds).toEqual([...effects.values()].sort());
});

test('what a worker had begun when it was killed is told when its job is cancelled', async () => {
  const worker = world.spawnWorker();
  const { key, jobId, effects, held } = await start({ items: 40, answered: 5 });
  try {
    await waitFor('ten requests are held', () => held.length === 10);
  } finally {
    await worker.kill();
  }
  const cancelling = ask(key, jobId, 'cancel');
  await world.api.pool.query('update bulk_chunks set lease_expires_at = now() where job_id = $1', [jobId]);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  await cancelling;
  const { status, itemIds } = await told(key, jobId);
  expect(status).toMatchObject({ status: 'cancelled', succeeded: 5, failed: 10 });
  expect(itemIds).toEqual([...effects.values()].sort());
});

async function untilLetGo(jobId: string): Promise<void> {
  await waitFor('no chunk is in hand', async () => {
    const { rowCount } = await world.api.pool.query(
      `select from bulk_chunks where job_id = $1 and state = 'working'`,
      [jobId],
    );
    return rowCount === 0;
  });
}
