import { afterAll, beforeAll, expect, test } from 'vitest';
import { claimListing } from '../../../shared/control/bulk/claim-listing.ts';
import { startJobs } from '../../../shared/control/bulk/queue-jobs.ts';
import { createLog } from '../../../shared/runtime/log.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';
import { openSilentProxy } from '../../support/silent-proxy.ts';
import { waitFor } from '../../support/wait-for.ts';

let world: BulkWorld;
beforeAll(async () => {
  world = await openBulkWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const voidAll = { resource: 'invoices', operation: 'void', async: true, filter: { status: { eq: 'open' } } };

const isAnyoneWaiting = async () => {
  const { rows } = await world.api.pool.query<{ count: number }>(
    `select count(*)::int from pg_locks where relation = 'documint.invoices'::regclass and not granted`,
  );
  return (rows[0]?.count ?? 0) > 0;
};

test('a job is pending until its items are fixed, holds its place meanwhile, and is running from then on', async () => {
  const { key, id, ids } = await world.account(4);
  await world.api.pool.query('update accounts set max_running_bulk = 1, bulk_quota = 0 where id = $1', [id]);
  const first = (await world.submit(key, voidAll)).json.job_id;
  const second = (await world.submit(key, voidAll)).json.job_id;
  const blocker = await world.api.pool.connect();
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => blocker.release());
  cleanup.defer(await world.startWorker());
  await world.until(key, first, 'paused');
  await world.api.call('POST', `/bulk/operations/${first}/cancel`, { key });
  // The job whose turn it is now finds the table locked, as a busy lister would find it later.
  await blocker.query('begin; lock table documint.invoices');
  const third = (await world.submit(key, { resource: 'invoices', operation: 'void', async: true, ids }, {}))
    .json.job_id;
  await waitFor('the lister waits for the table', isAnyoneWaiting);
  const listed = await world.status(key, second);
  expect(listed).toMatchObject({ status: 'pending', started_at: null });
  expect(listed.queue_position).toBeUndefined();
  expect(await world.status(key, third)).toMatchObject({ status: 'pending', queue_position: 1 });
  await blocker.query('commit');
  const paused = await world.until(key, second, 'paused');
  expect(paused).toMatchObject({ total: 4, started_at: expect.any(String) });
  await world.api.pool.query(`update documint.invoices set status = 'paid' where id = $1`, [ids[0]]);
  await world.api.pool.query('update accounts set bulk_quota = null where id = $1', [id]);
  expect(await world.until(key, second)).toMatchObject({ status: 'completed', succeeded: 4 });
  expect(await world.until(key, third)).toMatchObject({ status: 'completed', skipped: 4 });
  const told = await world.api.pool.query<{ type: string }>(
    'select type from outbox where key = $1 order by id',
    [second],
  );
  expect(told.rows.map(({ type }) => type)).toEqual(['JobCreated', 'JobStarted', 'JobCompleted']);
});

test('a job that is paused while its items are listed gives its place up, and lists them again at its next turn', async () => {
  const { key, id, ids } = await world.account(3);
  await world.api.pool.query('update accounts set max_running_bulk = 1 where id = $1', [id]);
  const first = (await world.submit(key, voidAll)).json.job_id;
  const blocker = await world.api.pool.connect();
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => blocker.release());
  await blocker.query('begin; lock table documint.invoices');
  cleanup.defer(await world.startWorker());
  await waitFor('the lister waits for the table', isAnyoneWaiting);
  const ask = (action: string) => world.api.call('POST', `/bulk/operations/${first}/${action}`, { key });
  expect((await ask('pause')).json).toMatchObject({ status: 'paused', started_at: null });
  await blocker.query(`update documint.invoices set status = 'paid' where id = $1`, [ids[0]]);
  await blocker.query('commit');
  const other = (await world.submit(key, { ...voidAll, filter: { id: { eq: ids[1] } } })).json.job_id;
  expect(await world.until(key, other)).toMatchObject({ status: 'completed', succeeded: 1 });
  expect(await world.status(key, first)).toMatchObject({ status: 'paused', processed: 0 });
  expect((await ask('resume')).status).toBe(202);
  expect(await world.until(key, first)).toMatchObject({ status: 'completed', total: 1, succeeded: 1 });
});

test('while the source is away the items are listed later, however often that failed before', async () => {
  const { key } = await world.account(3);
  const source = new URL(world.api.databaseUrl);
  await using proxy = await openSilentProxy(source.hostname, Number(source.port));
  const away = new URL(source);
  away.host = `127.0.0.1:${proxy.port}`;
  const lines: { event: string; listCount?: number }[] = [];
  const log = createLog('warn', {}, (line) => lines.push(JSON.parse(line)));
  await using cleanup = new AsyncDisposableStack();
  const settings = { DATABASE_URL: away.href, CONTROL_DATABASE_URL: source.href };
  cleanup.defer(await world.startWorker(settings, log));
  proxy.cut(1);
  const { json } = await world.submit(key, voidAll);
  const attempts = 20;
  await world.api.pool.query(
    '/* arranged */ update bulk_jobs set list_count = $2, lease_owner = null, lease_expires_at = null where id = $1',
    [json.job_id, attempts],
  );
  await waitFor('a late try has failed', () =>
    lines.some(({ event, listCount = 0 }) => event === 'bulk.listing_failed' && listCount > attempts),
  );
  expect(await world.status(key, json.job_id)).toMatchObject({ status: 'pending', processed: 0 });
  proxy.cut(Number(source.port));
  // As if the time until the next try were over.
  const isDone = waitFor('the job has ended', async () => {
    await world.api.pool.query(
      'update bulk_jobs set lease_expires_at = now() where id = $1 and lease_owner is null',
      [json.job_id],
    );
    const status = await world.status(key, json.job_id);
    return ['completed', 'failed'].includes(status.status) ? status : undefined;
  });
  expect(await isDone).toMatchObject({ status: 'completed', succeeded: 3 });
});

test('a job whose listers keep dying is given up', async () => {
  const { key } = await world.account(3);
  const { json } = await world.submit(key, voidAll);
  const { pool } = world.api;
  await startJobs(pool, Date.now());
  const die = () =>
    pool.query(`update bulk_jobs set lease_expires_at = now() - interval '1 second' where id = $1`, [
      json.job_id,
    ]);
  for (let lister = 1; lister <= 20; lister += 1) {
    expect(await claimListing(pool, `lister ${lister}`)).toMatchObject({ failureCount: lister - 1 });
    await die();
  }
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  expect(await world.until(key, json.job_id)).toMatchObject({
    status: 'failed',
    processed: 0,
    error: { code: 'processing_failed' },
  });
});

test('a job whose file of IDs is gone from storage fails by that, and the next one has its place', async () => {
  const { key, id, ids } = await world.account(1);
  await world.api.pool.query('update accounts set max_running_bulk = 1 where id = $1', [id]);
  const upload = await world.api.call('POST', '/bulk/files', {
    key,
    body: ids.join('\n'),
    headers: { 'content-type': 'text/plain' },
  });
  const body = { resource: 'invoices', operation: 'void', async: true };
  const first = (await world.submit(key, { ...body, file_id: upload.json.file_id })).json.job_id;
  const second = (await world.submit(key, voidAll)).json.job_id;
  const { rows } = await world.api.pool.query<{ path: string }>('select path from bulk_files where id = $1', [
    upload.json.file_id,
  ]);
  await world.api.storage.delete(rows[0]?.path ?? '');
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  expect(await world.until(key, first)).toMatchObject({
    status: 'failed',
    started_at: null,
    processed: 0,
    error: { code: 'file_gone' },
  });
  expect(await world.until(key, second)).toMatchObject({ status: 'completed', succeeded: 1 });
});

test('the list is fixed at the start; live semantics leave out what matches no longer, and take in what matches by then', async () => {
  for (const semantics of ['snapshot', 'live']) {
    const { key, id, ids, sourceId } = await world.account(3);
    // A job with no quota lists its items and then waits, which is the moment to change what matches.
    await world.api.pool.query('update accounts set bulk_quota = 0 where id = $1', [id]);
    await world.api.pool.query(`update documint.invoices set status = 'paid' where id = $1`, [ids[2]]);
    const { json } = await world.submit(key, { ...voidAll, semantics });
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(await world.startWorker());
    expect(await world.until(key, json.job_id, 'paused')).toMatchObject({
      status: 'paused',
      total: 2,
      pause_reason: 'quota',
      eta_seconds: null,
    });
    await world.api.pool.query(`update documint.invoices set status = 'paid' where id = $1`, [ids[0]]);
    await world.api.pool.query(`update documint.invoices set status = 'open' where id = $1`, [ids[2]]);
    await world.api.pool.query('update accounts set bulk_quota = null where id = $1', [id]);
    const done = await world.until(key, json.job_id);
    expect(done).toMatchObject({ status: 'completed', total: semantics === 'live' ? 3 : 2 });
    const results = await world.results(key, json.job_id);
    if (semantics === 'snapshot') {
      expect(results).toMatchObject([{ status: 'succeeded' }, { status: 'succeeded' }]);
      expect(await world.voided(sourceId)).toEqual(ids.slice(0, 2));
    } else {
      expect(results).toMatchObject([
        { item_id: ids[0], status: 'skipped', code: 'no_longer_matches' },
        { item_id: ids[1], status: 'succeeded' },
        { item_id: ids[2], status: 'succeeded' },
      ]);
      expect(await world.voided(sourceId)).toEqual(ids.slice(1));
    }
  }
});

test('a job whose own changes make its items match again ends', async () => {
  const { key } = await world.account(60);
  const { json } = await world.submit(key, {
    resource: 'invoices',
    operation: 'update',
    async: true,
    semantics: 'live',
    filter: { status: { eq: 'open' } },
    params: { status: 'open' },
  });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  expect(await world.until(key, json.job_id)).toMatchObject({
    status: 'completed',
    succeeded: 60,
    total: 60,
  });
});

test('live semantics take in what comes to match while the job runs, round after round, each item once', async () => {
  const { key, sourceId, ids } = await world.account(30);
  // Every item that is changed makes the one after the next match, up to the last: what a product's own rules may do.
  await world.api.pool.query(
    `update documint.invoices set status = 'paid' where account_id = $1 and id > $2`,
    [sourceId, ids[4]],
  );
  await world.api.pool.query(`
    create or replace function documint.open_next() returns trigger language plpgsql as $$
      begin
        update documint.invoices set status = 'open' where account_id = new.account_id and id = new.id + 10 and status = 'paid';
        return new;
      end $$;
    create trigger open_next after update on documint.invoices for each row
      when (new.status = 'void' and old.status = 'open' and new.account_id = '${sourceId}') execute function documint.open_next()`);
  const { json } = await world.submit(key, { ...voidAll, semantics: 'live' });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const done = await world.until(key, json.job_id);
  expect(done).toMatchObject({ status: 'completed', total: 15, succeeded: 15, skipped: 0 });
  const wanted = [...ids.slice(0, 5), ...ids.slice(10, 15), ...ids.slice(20, 25)];
  expect((await world.results(key, json.job_id)).map(({ item_id }) => item_id)).toEqual(wanted);
  expect(await world.voided(sourceId)).toEqual(wanted);
});
