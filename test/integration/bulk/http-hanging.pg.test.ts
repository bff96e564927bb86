import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answerWith, type BulkHandler, openBulkHandler } from '../../support/bulk-handler.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';
import { waitFor } from '../../support/wait-for.ts';

let world: BulkWorld;
let handler: BulkHandler;

beforeAll(async () => {
  handler = await openBulkHandler();
  // An answer may take so long that, within a test, a handler which does not answer never does.
  world = await openBulkWorld({ handlerUrl: handler.url, handlerMs: 60_000, maxQueuedBulk: 100 });
});
afterAll(async () => {
  await handler[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const submit = async (key: string, operation: string, ids: readonly string[]): Promise<string> => {
  const { status, json } = await world.submit(key, { resource: 'invoices', operation, async: true, ids });
  expect(status).toBe(202);
  return json.job_id;
};

/** Lets the handler hang for these items and answer for all others. The returned function lets it answer for those too, and ends the jobs. */
function hangFor(itemIds: readonly string[]) {
  const isHanging = new Set(itemIds);
  const held: ServerResponse[] = [];
  handler.answer = (one, _times, response) => {
    if (isHanging.has(one.itemId)) held.push(response);
    else answerWith(response, 200);
  };
  const cancelAll = async (key: string, jobIds: readonly string[]) => {
    handler.answer = (_one, _times, response) => answerWith(response, 200);
    for (const response of held) answerWith(response, 200);
    for (const jobId of jobIds) {
      await world.api.call('POST', `/bulk/operations/${jobId}/cancel`, { key });
      await world.until(key, jobId);
    }
  };
  return { held, cancelAll };
}

test('a handler that never answers holds up neither rows to change nor another account’s handler', async () => {
  const hanging = await world.account(500);
  const healthy = await world.account(120);
  const voiding = await world.account(200);
  const { held, cancelAll } = hangFor(hanging.ids);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const first = await submit(hanging.key, 'render', hanging.ids);
  await waitFor('the handler hangs for two chunks', () => held.length >= 20);
  const second = await submit(voiding.key, 'void', voiding.ids);
  const third = await submit(healthy.key, 'render', healthy.ids);
  expect(await world.until(voiding.key, second)).toMatchObject({ succeeded: 200 });
  expect(await world.until(healthy.key, third)).toMatchObject({ succeeded: 120 });
  expect(await world.status(hanging.key, first)).toMatchObject({ status: 'running', processed: 0 });
  expect(held).toHaveLength(20);
  await cancelAll(hanging.key, [first]);
});

test('a handler that hangs for one item delays that item only', async () => {
  const { key, ids } = await world.account(12);
  const { held, cancelAll } = hangFor(ids.slice(0, 1));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const jobId = await submit(key, 'render', ids);
  const under = await waitFor('the others are reported', async () => {
    const status = await world.status(key, jobId);
    return status.processed >= 11 ? status : undefined;
  });
  expect(under).toMatchObject({ status: 'running', succeeded: 11, failed: 0, quota: { used: 11 } });
  expect(held).toHaveLength(1);
  await cancelAll(key, [jobId]);
});

test('an account whose fifty jobs all hang leaves room for another’s', async () => {
  const hanging = await world.account(300);
  const healthy = await world.account(60);
  await world.api.pool.query('update accounts set max_running_bulk = 10 where id = $1', [hanging.id]);
  const { held, cancelAll } = hangFor(hanging.ids);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const jobs: string[] = [];
  for (let first = 0; first < 300; first += 60) {
    const jobId = await submit(hanging.key, 'render', hanging.ids.slice(first, first + 60));
    await world.until(hanging.key, jobId, 'running');
    jobs.push(jobId);
  }
  while (jobs.length < 50) jobs.push(await submit(hanging.key, 'render', hanging.ids.slice(0, 1)));
  await waitFor('the handler hangs for four chunks', () => held.length >= 40);
  const other = await submit(healthy.key, 'render', healthy.ids);
  expect(await world.until(healthy.key, other)).toMatchObject({ succeeded: 60 });
  expect(held).toHaveLength(40);
  const statuses = await Promise.all(jobs.map((jobId) => world.status(hanging.key, jobId)));
  expect(statuses.every(({ processed }) => processed === 0)).toBe(true);
  await cancelAll(hanging.key, jobs);
});

test('a try whose results can not be written is over before the next one asks', async () => {
  const { key, ids } = await world.account(6);
  const [refused, hanging] = ids;
  await world.api.pool.query(`
    create sequence tandem.attempts;
    create function tandem.refuse() returns trigger language plpgsql as $$ begin
      if new.item_id = '${refused}' and nextval('tandem.attempts') = 1 then
        raise exception 'locked' using errcode = 'lock_not_available';
      end if;
      return new;
    end $$;
    create trigger refuse before insert on tandem.bulk_ledger for each row execute function tandem.refuse()`);
  const open: string[] = [];
  let mostOpen = 0;
  handler.answer = (one, times, response) => {
    open.push(one.key);
    mostOpen = Math.max(mostOpen, open.filter((other) => other === one.key).length);
    response.on('close', () => open.splice(open.indexOf(one.key), 1));
    if (one.itemId !== hanging || times > 1) answerWith(response, 200);
  };
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker({ BULK_HTTP_CONCURRENCY: '2' }));
  const before = handler.asked.length;
  const jobId = await submit(key, 'render', ids);
  expect(await world.until(key, jobId)).toMatchObject({ status: 'completed', succeeded: 6 });
  expect(mostOpen).toBe(1);
  const attempts = handler.asked.slice(before).map(({ itemId }) => itemId);
  expect(attempts.filter((itemId) => itemId === hanging)).toHaveLength(2);
  expect(attempts).toHaveLength(8);
  await world.api.pool.query('drop trigger refuse on tandem.bulk_ledger');
});

test('an item that stops matching while others hold up its turn is not asked for', async () => {
  const { key, ids } = await world.account(14);
  const late = ids.slice(10);
  const held: ServerResponse[] = [];
  const before = handler.asked.length;
  handler.answer = (one, _times, response) => {
    if (late.includes(one.itemId)) answerWith(response, 200);
    else held.push(response);
  };
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const { json } = await world.submit(key, {
    resource: 'invoices',
    operation: 'render',
    async: true,
    semantics: 'live',
    filter: { status: { eq: 'open' } },
  });
  await waitFor('every line waits for an answer', () => held.length === 10);
  await world.api.pool.query(`update documint.invoices set status = 'paid' where id = any ($1::bigint[])`, [
    late.slice(1),
  ]);
  // A while, so that what was known of the rows is not good any more.
  await world.untilRenewed(json.job_id);
  for (const response of held) answerWith(response, 200);
  const done = await world.until(key, json.job_id);
  expect(done).toMatchObject({ status: 'completed', succeeded: 11, skipped: 3, failed: 0 });
  const skipped = await world.results(key, json.job_id, '&status=skipped');
  expect(skipped.map((item) => [item.item_id, item.code])).toEqual(
    late.slice(1).map((id) => [id, 'no_longer_matches']),
  );
  expect(
    handler.asked
      .slice(before)
      .map(({ itemId }) => itemId)
      .sort(),
  ).toEqual(ids.slice(0, 11).sort());
});

test('when the time of a synchronous operation is over, each item says whether it was begun, and nothing goes on', async () => {
  const { key, id, ids } = await world.account(25);
  await world.api.pool.query('update accounts set bulk_quota = 25 where id = $1', [id]);
  handler.answer = (one, _times, response) => {
    if (ids.indexOf(one.itemId) < 5) answerWith(response, 200);
  };
  const headers = { 'idempotency-key': 'slow' };
  const body = { resource: 'invoices', operation: 'render', ids };
  const first = await world.submit(key, body, headers);
  expect(first).toMatchObject({ status: 200, json: { succeeded: 5, failed: 20, total: 25 } });
  const codes = first.json.results.map((item: Record<string, unknown>) => item.code);
  expect(codes.slice(0, 5)).toEqual([undefined, undefined, undefined, undefined, undefined]);
  expect(codes.slice(5, 15)).toEqual(Array(10).fill('handler_timeout'));
  expect(codes.slice(15)).toEqual(Array(10).fill('not_attempted'));
  const count = handler.asked.length;
  expect((await world.submit(key, body, headers)).text).toBe(first.text);
  expect(handler.asked).toHaveLength(count);
  // Those that were not begun cost nothing: ten are left for the next request.
  handler.answer = (_one, _times, response) => answerWith(response, 200);
  const over = await world.submit(key, { ...body, ids: ids.slice(0, 11) });
  expect(over).toMatchObject({ status: 429, json: { quota: { used: 15, remaining: 10 } } });
  expect((await world.submit(key, { ...body, ids: ids.slice(15) })).json).toMatchObject({ succeeded: 10 });
});

test('while its handler is away a job pauses and says so; it goes on by itself, and no item fails for it', async () => {
  const { key, ids } = await world.account(70);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  let isAway = true;
  let asked = 0;
  handler.answer = (_one, _times, response) => {
    asked += 1;
    if (!isAway) return answerWith(response, 200);
    if (asked % 2 === 0) return void response.destroy();
    response.setHeader('retry-after', '1');
    answerWith(response, 503);
  };
  const { json } = await world.submit(key, { resource: 'invoices', operation: 'render', async: true, ids });
  const paused = await world.until(key, json.job_id, 'paused');
  expect(paused).toMatchObject({
    status: 'paused',
    pause_reason: 'handler',
    processed: 0,
    eta_seconds: null,
  });
  expect(Date.parse(paused.resumes_at)).toBeGreaterThan(Date.parse(paused.created_at));
  const askedBefore = asked;
  await waitFor('the handler is asked again', () => asked > askedBefore);
  // One item at a time finds out whether it is back.
  expect(asked).toBeLessThanOrEqual(askedBefore + 4);
  await world.until(key, json.job_id, 'paused');
  isAway = false;
  const done = await world.until(key, json.job_id);
  expect(done).toMatchObject({ status: 'completed', succeeded: 70, failed: 0, quota: { used: 70 } });
  expect(done).not.toHaveProperty('pause_reason');
  expect(done).not.toHaveProperty('resumes_at');
});

test('an item for which the handler always fails does not hide that it is back, and fails alone', async () => {
  const { key, ids } = await world.account(12);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  let isAway = true;
  handler.answer = (one, _times, response) =>
    answerWith(response, isAway || one.itemId === ids[0] ? 503 : 200);
  const { json } = await world.submit(key, { resource: 'invoices', operation: 'render', async: true, ids });
  await world.until(key, json.job_id, 'paused');
  isAway = false;
  expect(await world.until(key, json.job_id)).toMatchObject({
    status: 'completed',
    succeeded: 11,
    failed: 1,
  });
  expect(await world.results(key, json.job_id, '&status=failed')).toMatchObject([
    { item_id: ids[0], code: 'handler_unavailable' },
  ]);
});

test('the last item of a job, for which the handler is away time and again, fails alone', async () => {
  const { key, ids } = await world.account(2);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker({ BULK_HTTP_CONCURRENCY: '1' }));
  handler.answer = (one, _times, response) => answerWith(response, one.itemId === ids[1] ? 503 : 200);
  const { json } = await world.submit(key, { resource: 'invoices', operation: 'render', async: true, ids });
  expect(await world.until(key, json.job_id, 'paused')).toMatchObject({ pause_reason: 'handler' });
  await waitFor('the handler has had no answer', async () => {
    const { rowCount } = await world.api.pool.query(
      `update bulk_chunks set failure_count = 10 where job_id = $1 and failure = 'handler_away'`,
      [json.job_id],
    );
    return rowCount === 1;
  });
  expect(await world.until(key, json.job_id)).toMatchObject({ status: 'completed', succeeded: 1, failed: 1 });
});

test('a handler that stays away ends its job after a time that is a setting', async () => {
  const { key, ids } = await world.account(2);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  handler.answer = (_one, _times, response) => answerWith(response, 503);
  const { json } = await world.submit(key, { resource: 'invoices', operation: 'render', async: true, ids });
  await world.until(key, json.job_id, 'paused');
  await world.api.pool.query(
    `update bulk_jobs set handler_away_since = now() - interval '2 hours' where id = $1`,
    [json.job_id],
  );
  expect(await world.until(key, json.job_id)).toMatchObject({
    status: 'failed',
    succeeded: 0,
    // Both were asked for; nobody knows what the handler did.
    failed: 2,
    error: { code: 'handler_unavailable' },
    quota: { used: 2 },
  });
});

test('a handler has its whole time again when nobody asked it for a while', async () => {
  const { key, ids } = await world.account(1);
  const stop = await world.startWorker();
  let isAway = true;
  handler.answer = (_one, _times, response) => answerWith(response, isAway ? 503 : 200);
  const { json } = await world.submit(key, { resource: 'invoices', operation: 'render', async: true, ids });
  await world.until(key, json.job_id, 'paused');
  await stop();
  await world.api.pool.query(
    `update bulk_jobs set handler_away_since = now() - interval '2 hours', resumes_at = now() - interval '2 hours' where id = $1`,
    [json.job_id],
  );
  const before = handler.asked.length;
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  await waitFor('the handler is asked again', () => handler.asked.length > before);
  await world.until(key, json.job_id, 'paused');
  isAway = false;
  expect(await world.until(key, json.job_id)).toMatchObject({ status: 'completed', succeeded: 1 });
});
