import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLog } from '../../../shared/runtime/log.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';
import { waitFor } from '../../support/wait-for.ts';

let world: BulkWorld;
beforeAll(async () => {
  world = await openBulkWorld({ maxQueuedBulk: 50 });
});
afterAll(() => world[Symbol.asyncDispose]());

const voidAll = { resource: 'invoices', operation: 'void', async: true, filter: { status: { eq: 'open' } } };

test('with async, even one item is a job, which ends completed with its results', async () => {
  const { key, ids } = await world.account(1);
  const { status, json, headers } = await world.submit(key, {
    resource: 'invoices',
    operation: 'void',
    ids,
    async: true,
  });
  expect(status).toBe(202);
  expect(json).toEqual({
    job_id: expect.stringMatching(/^blk_/),
    status: 'pending',
    estimated_items: 1,
    estimated_duration_seconds: expect.any(Number),
  });
  expect(headers.get('location')).toBe(`/bulk/operations/${json.job_id}`);
  const pending = await world.status(key, json.job_id);
  expect(pending).toMatchObject({ status: 'pending', queue_position: 1, total: 1, eta_seconds: null });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const done = await world.until(key, json.job_id);
  expect(done).toMatchObject({
    status: 'completed',
    processed: 1,
    succeeded: 1,
    failed: 0,
    skipped: 0,
    total: 1,
  });
  expect(done.quota).toEqual({ limit: null, used: 1, remaining: null, resets_at: expect.any(String) });
  expect(await world.results(key, json.job_id)).toMatchObject([{ item_id: ids[0], status: 'succeeded' }]);
});

test('ten thousand IDs are taken, one more is sent to /bulk/files, and the same key gives the same job', async () => {
  const { key } = await world.account(1);
  const ids = Array.from({ length: 10_001 }, (_, index) => String(10_000_000 + index));
  const body = { resource: 'invoices', operation: 'void', async: true, ids };
  const over = await world.submit(key, body);
  expect(over.status).toBe(422);
  expect(over.text).toContain('/bulk/files');
  const first = await world.submit(key, { ...body, ids: ids.slice(1) }, { 'idempotency-key': 'big' });
  expect(first).toMatchObject({ status: 202, json: { estimated_items: 10_000 } });
  const again = await world.submit(key, { ...body, ids: ids.slice(1) }, { 'idempotency-key': 'big' });
  expect(again.json.job_id).toBe(first.json.job_id);
  const cancelled = await world.api.call('POST', `/bulk/operations/${first.json.job_id}/cancel`, { key });
  expect(cancelled).toMatchObject({ status: 202, json: { status: 'cancelled', processed: 0 } });
  const ended = await world.submit(key, { ...body, ids: ids.slice(1) }, { 'idempotency-key': 'big' });
  expect(ended.json.job_id).toBe(first.json.job_id);
});

test('a file of IDs becomes items in its order, with bad ones and repetitions told by line', async () => {
  const { key, ids } = await world.account(120);
  const other = await world.account(1);
  const lines = [
    '\uFEFF7x',
    '',
    ...ids.slice(0, 60),
    ' ',
    'abc',
    ...ids.slice(60),
    ids[0],
    '9'.repeat(2_000),
  ];
  const upload = await fetch(`${world.api.url}/bulk/files`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'text/plain' },
    body: lines.join('\r\n'),
  });
  expect(upload.status).toBe(201);
  const file = (await upload.json()) as { file_id: string; items: number };
  expect(file.items).toBe(124);
  const body = { resource: 'invoices', operation: 'void', async: true, file_id: file.file_id };
  expect((await world.submit(other.key, body)).status).toBe(404);
  const { json } = await world.submit(key, body);
  expect(json.estimated_items).toBe(124);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const done = await world.until(key, json.job_id);
  expect(done).toMatchObject({ status: 'completed', total: 124, succeeded: 120, failed: 3, skipped: 1 });
  expect(done.error_summary).toEqual([{ code: 'invalid_id', count: 3 }]);
  const failed = await world.results(key, json.job_id, '&status=failed');
  expect(failed.map(({ line, item_id }) => [line, item_id.slice(0, 3)])).toEqual([
    [1, '7x'],
    [64, 'abc'],
    [126, '999'],
  ]);
  const all = await world.results(key, json.job_id);
  expect(all.filter(({ status }) => status === 'succeeded').map(({ item_id }) => item_id)).toEqual(ids);
  expect(all.find(({ status }) => status === 'skipped')).toMatchObject({ code: 'duplicate', line: 125 });
});

test('a job without quota pauses, and goes on by itself in the next month, each item once', async () => {
  const { key, id, sourceId, ids } = await world.account(130);
  await world.api.pool.query('update accounts set bulk_quota = 70 where id = $1', [id]);
  await world.api.pool.query(`update documint.invoices set status = 'void' where id = any ($1::bigint[])`, [
    ids.slice(0, 10),
  ]);
  const { json } = await world.submit(key, { ...voidAll, filter: { account_id: { eq: sourceId } } });
  const november = Date.UTC(2026, 10, 15);
  world.api.clock.nowMs = november;
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => {
    world.api.clock.nowMs = undefined;
  });
  cleanup.defer(await world.startWorker());
  const paused = await world.until(key, json.job_id, 'paused');
  expect(paused).toMatchObject({
    status: 'paused',
    succeeded: 70,
    skipped: 10,
    processed: 80,
    quota: { limit: 70, used: 70, remaining: 0, resets_at: '2026-12-01T00:00:00.000Z' },
    resumes_at: '2026-12-01T00:00:00.000Z',
  });
  expect(await world.voided(sourceId)).toHaveLength(80);
  world.api.clock.nowMs = Date.UTC(2026, 11, 1);
  const done = await world.until(key, json.job_id);
  expect(done).toMatchObject({
    status: 'completed',
    succeeded: 120,
    skipped: 10,
    total: 130,
    quota: { used: 50, remaining: 20 },
  });
});

test('jobs over the limit of an account wait in order', async () => {
  const { key, id } = await world.account(5);
  await world.api.pool.query('update accounts set max_running_bulk = 10, bulk_quota = 0 where id = $1', [id]);
  const jobs: string[] = [];
  for (let index = 0; index < 12; index += 1) jobs.push((await world.submit(key, voidAll)).json.job_id);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  for (const job of jobs.slice(0, 10)) await world.until(key, job, 'paused');
  expect(await world.status(key, jobs[10] ?? '')).toMatchObject({ status: 'pending', queue_position: 1 });
  expect(await world.status(key, jobs[11] ?? '')).toMatchObject({ status: 'pending', queue_position: 2 });
  await world.api.call('POST', `/bulk/operations/${jobs[3]}/cancel`, { key });
  await world.until(key, jobs[10] ?? '', 'paused');
  expect(await world.status(key, jobs[11] ?? '')).toMatchObject({ status: 'pending', queue_position: 1 });
  await world.api.pool.query('update accounts set bulk_quota = null where id = $1', [id]);
  for (const job of jobs) await world.until(key, job);
  const list = await world.api.call('GET', '/bulk/operations?status=completed&limit=200', { key });
  expect(list.json.data).toHaveLength(11);
});

test('a small job of one account is not held up by a large one of another', async () => {
  const [large, small] = [await world.account(3_000), await world.account(5)];
  // So slow that it takes longer than anybody here waits, on whatever machine.
  await world.api.pool.query(`
    create function documint.slow_down() returns trigger language plpgsql as $$ begin perform pg_sleep(0.05); return new; end $$;
    create trigger slow_down before update on documint.invoices for each row
      when (new.account_id = '${large.sourceId}') execute function documint.slow_down()`);
  const first = await world.submit(large.key, voidAll);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker({ BULK_CHUNK_ITEMS: '20' }));
  await waitFor('the large job is under way', async () => {
    return (await world.status(large.key, first.json.job_id)).processed > 0;
  });
  const second = await world.submit(small.key, voidAll);
  await world.until(small.key, second.json.job_id);
  expect(await world.status(large.key, first.json.job_id)).toMatchObject({ status: 'running', total: 3_000 });
  const cancel = `/bulk/operations/${first.json.job_id}/cancel`;
  const { json } = await world.api.call('POST', cancel, { key: large.key });
  expect(json).toMatchObject({ status: 'cancelled' });
  expect(await world.voided(large.sourceId)).toHaveLength(json.succeeded);
  expect(await world.results(large.key, first.json.job_id)).toHaveLength(json.processed);
  await world.api.pool.query('drop trigger slow_down on documint.invoices');
});

test('an ID that comes again in a list is done once, and told as a duplicate where it comes again', async () => {
  const { key, ids, sourceId } = await world.account(3);
  const [a = '', b = '', c = ''] = ids;
  const sent = [a, b, a, `0${b}`, c, Number(a)];
  const body = { resource: 'invoices', operation: 'void', async: true, ids: sent };
  const { json } = await world.submit(key, body);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  expect(await world.until(key, json.job_id)).toMatchObject({
    status: 'completed',
    total: 6,
    succeeded: 3,
    skipped: 3,
    failed: 0,
    quota: { used: 3 },
  });
  const results = await world.results(key, json.job_id);
  expect(results.map(({ item_id, status, code }) => [item_id, status, code])).toEqual([
    [a, 'succeeded', undefined],
    [b, 'succeeded', undefined],
    [a, 'skipped', 'duplicate'],
    [b, 'skipped', 'duplicate'],
    [c, 'succeeded', undefined],
    [a, 'skipped', 'duplicate'],
  ]);
  expect(await world.voided(sourceId)).toEqual(ids);
});

test('a trigger that refuses one record by a code of its own fails that item, and not the job', async () => {
  const { key, ids } = await world.account(60);
  await world.api.pool.query(`
    create function documint.refuse_one() returns trigger language plpgsql as $$
      begin raise exception 'invoice % is under audit', new.id using errcode = 'UX001'; end $$;
    create trigger refuse_one before update on documint.invoices for each row
      when (new.id = ${ids[30]}) execute function documint.refuse_one()`);
  const { json } = await world.submit(key, { resource: 'invoices', operation: 'void', async: true, ids });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const done = await world.until(key, json.job_id);
  expect(done).toMatchObject({ status: 'completed', succeeded: 59, failed: 1 });
  const told = { item_id: ids[30], code: 'rejected', message: `invoice ${ids[30]} is under audit` };
  expect(done.recent_errors).toMatchObject([told]);
  const again = await world.submit(key, { resource: 'invoices', operation: 'void', ids: ids.slice(29, 32) });
  expect(again).toMatchObject({ status: 200, json: { skipped: 2, failed: 1 } });
  expect(again.json.results[1]).toMatchObject(told);
});

test('a key lives as long as its job waits, however long that is, and a week longer', async () => {
  const { key, id } = await world.account(4);
  await world.api.pool.query('update accounts set bulk_quota = 2 where id = $1', [id]);
  const submit = (name: string, body: unknown = voidAll) =>
    world.submit(key, body as typeof voidAll, { 'idempotency-key': name });
  const { json } = await submit('long');
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  await world.until(key, json.job_id, 'paused');
  /** As if so many days had passed; and any key that is kept sweeps those that have expired. */
  const later = async (days: number) => {
    await world.api.pool.query(
      `update idempotency_keys set expires_at = expires_at - make_interval(days => $2) where account_id = $1`,
      [id, days],
    );
    await submit(`sweep ${days}`, { ...voidAll, dry_run: true });
  };
  const again = async () => (await submit('long')).json.job_id;
  await later(40);
  expect(await again()).toBe(json.job_id);
  await world.api.pool.query('update accounts set bulk_quota = null where id = $1', [id]);
  await world.until(key, json.job_id);
  await later(6);
  expect(await again()).toBe(json.job_id);
  await later(2);
  const fresh = await again();
  expect(fresh).not.toBe(json.job_id);
  const cancelled = await world.api.call('POST', `/bulk/operations/${fresh}/cancel`, { key });
  expect(cancelled.status).toBe(202);
});

test('a cursor of results is bound to its job and filter, and a page is the same when read again', async () => {
  const { key, ids } = await world.account(60);
  const submit = async () =>
    (await world.submit(key, { resource: 'invoices', operation: 'void', async: true, ids })).json.job_id;
  const [first, second] = [await submit(), await submit()];
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  await world.until(key, first);
  await world.until(key, second);
  const page = (job: string, query: string) =>
    world.api.call('GET', `/bulk/operations/${job}/results?limit=20${query}`, { key });
  const { json } = await page(first, '');
  const cursor = `&cursor=${encodeURIComponent(json.next_cursor)}`;
  const next = await page(first, cursor);
  expect(next.json.data[0].item_id).toBe(ids[20]);
  expect((await page(first, cursor)).text).toBe(next.text);
  expect((await page(second, cursor)).status).toBe(400);
  expect((await page(first, `${cursor}&status=failed`)).status).toBe(400);
  expect((await page(first, `${cursor}x`)).status).toBe(400);
  expect(
    (await world.api.call('GET', `/bulk/operations/${first}`, { key: (await world.account(1)).key })).status,
  ).toBe(404);
});

test('workers that share a job, and one that is stopped in the middle, repeat nothing', async () => {
  const { key, sourceId } = await world.account(2_000);
  await world.api.pool.query(`
    create table if not exists documint.touches (id bigint);
    create or replace function documint.note_touch() returns trigger language plpgsql as $$
      begin insert into documint.touches values (new.id); return new; end $$;
    create or replace trigger note_touch after update on documint.invoices for each row execute function documint.note_touch()`);
  const { json } = await world.submit(key, voidAll);
  const settings = { BULK_CHUNK_ITEMS: '20' };
  const stopFirst = await world.startWorker(settings);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker(settings));
  await waitFor('some are done', async () => (await world.status(key, json.job_id)).processed > 100);
  await stopFirst();
  let last = 0;
  const done = await waitFor('the job has ended', async () => {
    const status = await world.status(key, json.job_id);
    expect(status.processed).toBeGreaterThanOrEqual(last);
    last = status.processed;
    return status.status === 'completed' ? status : undefined;
  });
  expect(done).toMatchObject({ succeeded: 2_000, failed: 0, skipped: 0, total: 2_000 });
  const { rows } = await world.api.pool.query(
    `select count(*)::int as touched, count(distinct t.id)::int as items from documint.touches t
     join documint.invoices i on i.id = t.id and i.account_id = $1`,
    [sourceId],
  );
  expect(rows).toEqual([{ touched: 2_000, items: 2_000 }]);
});

test('a slot that falls behind makes a job go slower, which the log says with its reason, and the job ends all the same', async () => {
  const { key } = await world.account(400);
  const lines: { event: string; signal?: unknown }[] = [];
  const log = createLog('info', {}, (line) => lines.push(JSON.parse(line)));
  const run = async () => {
    const body = { ...voidAll, operation: 'update', params: { memo: 'm' } };
    const { json } = await world.submit(key, body);
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(await world.startWorker({ BULK_CHUNK_ITEMS: '100', BULK_MAX_SLOT_LAG_MB: '1' }, log));
    expect(await world.until(key, json.job_id)).toMatchObject({ status: 'completed', succeeded: 400 });
  };
  await run();
  expect(lines.filter(({ event }) => event === 'bulk.slowed')).toEqual([]);
  const slot = `behind_${process.pid}`;
  await world.api.pool.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slot]);
  try {
    await world.api.pool.query(`select pg_logical_emit_message(false, 'test', repeat('x', 2000000))`);
    await run();
  } finally {
    await world.api.pool.query('select pg_drop_replication_slot($1)', [slot]);
  }
  expect(lines).toContainEqual(
    expect.objectContaining({ event: 'bulk.slowed', signal: 'slotLagBytes', limit: 1_048_576 }),
  );
});
