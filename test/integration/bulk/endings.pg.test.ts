import { afterAll, beforeAll, expect, test } from 'vitest';
import { addBulkMetrics } from '../../../services/bulk/metrics.ts';
import { scheduleRound } from '../../../services/bulk/scheduler.ts';
import { reserveQuota } from '../../../shared/control/bulk/bulk-quota.ts';
import { type ClaimedChunk, claimChunk } from '../../../shared/control/bulk/claim-chunk.ts';
import { failJob } from '../../../shared/control/bulk/end-job.ts';
import { pauseForFeed } from '../../../shared/control/bulk/pause-job.ts';
import { startJobs } from '../../../shared/control/bulk/queue-jobs.ts';
import { reportChunk } from '../../../shared/control/bulk/report-chunk.ts';
import { correctRestored } from '../../../shared/control/restored-store.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createMetrics } from '../../../shared/runtime/metrics.ts';
import { ADMIN_KEY } from '../../support/api-server.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';
import { waitFor } from '../../support/wait-for.ts';

let world: BulkWorld;
beforeAll(async () => {
  world = await openBulkWorld({ maxQueuedBulk: 50 });
});
afterAll(() => world[Symbol.asyncDispose]());

const voidAll = { resource: 'invoices', operation: 'void', async: true, filter: { status: { eq: 'open' } } };

test('a job that is cancelled keeps what is done, and its counts and results agree', async () => {
  const { key, id, sourceId } = await world.account(300);
  await world.api.pool.query('update accounts set bulk_quota = 100 where id = $1', [id]);
  const { json } = await world.submit(key, voidAll);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  await world.until(key, json.job_id, 'paused');
  const cancel = () => world.api.call('POST', `/bulk/operations/${json.job_id}/cancel`, { key });
  expect(await cancel()).toMatchObject({
    status: 202,
    json: { status: 'cancelled', succeeded: 100, total: 300 },
  });
  expect(await cancel()).toMatchObject({ status: 202, json: { status: 'cancelled' } });
  expect(await world.voided(sourceId)).toHaveLength(100);
  expect(await world.results(key, json.job_id)).toHaveLength(100);
  for (const action of ['pause', 'resume']) {
    const path = `/bulk/operations/${json.job_id}/${action}`;
    expect((await world.api.call('POST', path, { key })).status).toBe(409);
  }
});

test('a job that ran at the time of a backup that is restored fails, with what was done since in its counts', async () => {
  const { key, id } = await world.account(300);
  const { pool } = world.api;
  const limit = (items: number) =>
    pool.query('update accounts set bulk_quota = $2 where id = $1', [id, items]);
  await limit(100);
  const { json } = await world.submit(key, voidAll);
  const read = async (table: string, column: string) =>
    JSON.stringify((await pool.query(`select * from ${table} where ${column} = $1`, [json.job_id])).rows);
  const stopWorker = await world.startWorker();
  await world.until(key, json.job_id, 'paused');
  const chunks = await read('bulk_chunks', 'job_id');
  await limit(200);
  await waitFor('more to be done', async () => (await world.status(key, json.job_id)).processed === 200);
  await world.until(key, json.job_id, 'paused');
  await stopWorker();
  await pool.query(
    `/* arranged */ update bulk_chunks c
     set state = b.state, attempt = case b.state when 'waiting' then 0 else b.attempt end, items = b.items, reserved = b.reserved, quota_span = b.quota_span,
       charged = b.charged, succeeded = b.succeeded, lease_owner = null, lease_expires_at = null
     from json_populate_recordset(null::bulk_chunks, $2) b where c.job_id = $1 and c.chunk = b.chunk`,
    [json.job_id, chunks],
  );
  await pool.query('update bulk_jobs set succeeded = 100 where id = $1', [json.job_id]);
  const mark = { systemId: '7', timeline: 1, passedLsn: 1_000n, updatedAtMs: Date.now() };
  expect(await correctRestored(pool, mark, ['invoices'])).toMatchObject({ bulkJobs: expect.any(Number) });
  expect(await correctRestored(pool, mark, ['invoices'])).toBeUndefined();
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  expect(await world.until(key, json.job_id)).toMatchObject({
    status: 'failed',
    succeeded: 200,
    error: { code: 'control_store_restored' },
  });
  expect(await world.results(key, json.job_id)).toHaveLength(200);
});

test('a job that is about to end is not paused, and nobody is told so', async () => {
  const { key } = await world.account(3);
  const { json } = await world.submit(key, voidAll);
  await world.api.pool.query("update bulk_jobs set ending = 'cancelled' where id = $1", [json.job_id]);
  const pause = await world.api.call('POST', `/bulk/operations/${json.job_id}/pause`, { key });
  expect(pause).toMatchObject({ status: 409, json: { detail: 'The bulk job is about to end.' } });
  const { rowCount } = await world.api.pool.query(
    "select from audit_log where action = 'bulk.paused' and subject_id = $1",
    [json.job_id],
  );
  expect(rowCount).toBe(0);
});

test('a job is paused and resumed by request', async () => {
  const { key } = await world.account(20);
  const { json } = await world.submit(key, voidAll);
  const ask = (action: string) =>
    world.api.call('POST', `/bulk/operations/${json.job_id}/${action}`, { key });
  expect(await ask('pause')).toMatchObject({
    status: 202,
    json: { status: 'paused', pause_reason: 'requested' },
  });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const other = await world.submit(key, { ...voidAll, filter: { id: { eq: 0 } } });
  await world.until(key, other.json.job_id);
  expect(await world.status(key, json.job_id)).toMatchObject({ status: 'paused', processed: 0 });
  expect(await ask('resume')).toMatchObject({ status: 202 });
  expect(await world.until(key, json.job_id)).toMatchObject({ status: 'completed', succeeded: 20 });
});

test('as many failures as max_failures end the job: work stops early, and what is done is readable', async () => {
  const { key, ids } = await world.account(450);
  const missing = Array.from({ length: 50 }, (_, index) => String(90_000_000 + index));
  const byIds = { ids: [...missing, ...ids] };
  const upload = await world.api.call('POST', '/bulk/files', {
    key,
    body: byIds.ids.join('\n'),
    headers: { 'content-type': 'text/plain' },
  });
  const workers = 2;
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker({ BULK_MAX_CHUNKS: String(workers), BULK_CHUNK_ITEMS: '1000' }));
  for (const which of [byIds, { file_id: upload.json.file_id }]) {
    const { json } = await world.submit(key, {
      resource: 'invoices',
      operation: 'void',
      async: true,
      ...which,
      max_failures: 5,
    });
    const done = await world.until(key, json.job_id);
    expect(done).toMatchObject({ status: 'failed', total: 500, error: { code: 'max_failures' } });
    expect(done.failed).toBeGreaterThanOrEqual(5);
    expect(done.processed).toBe(done.succeeded + done.failed + done.skipped);
    // What was in hand when the limit was reached: a chunk of each worker.
    expect(done.processed).toBeLessThanOrEqual(20 * workers);
    expect(done.error_summary).toEqual([{ code: 'not_found', count: done.failed }]);
    expect(done.recent_errors).toHaveLength(10);
    expect(await world.results(key, json.job_id, '&status=failed')).toHaveLength(done.failed);
  }
});

test('who made, ran, paused and cancelled operations is on record', async () => {
  const { key, id, ids } = await world.account(2);
  const body = { resource: 'invoices', operation: 'void', ids };
  await world.submit(key, body);
  const { json } = await world.submit(key, { ...body, async: true }, { 'idempotency-key': 'once' });
  await world.submit(key, { ...body, async: true }, { 'idempotency-key': 'once' });
  await world.submit(key, { ...body, dry_run: true });
  for (const action of ['pause', 'resume', 'cancel']) {
    await world.api.call('POST', `/bulk/operations/${json.job_id}/${action}`, { key });
  }
  const log = await world.api.call('GET', `/admin/audit?account_id=${id}`, { key: ADMIN_KEY });
  const entries: Record<string, unknown>[] = log.json.data.toReversed();
  const made = entries.filter(({ action }) => String(action).startsWith('bulk.'));
  expect(made.map(({ action }) => action)).toEqual([
    'bulk.run',
    'bulk.created',
    'bulk.paused',
    'bulk.resumed',
    'bulk.cancelled',
  ]);
  expect(made[1]).toMatchObject({
    actor: expect.stringMatching(/^key_/),
    subject_id: json.job_id,
    details: { resource: 'invoices', operation: 'void', by: 'ids', items: 2 },
  });
});

/** The job's only chunk, claimed by nobody who works on it. */
async function claimOnly(jobId: string): Promise<ClaimedChunk> {
  await startJobs(world.api.pool, Date.now());
  const claim = await claimChunk(world.api.pool, 'a test', { kind: 'rows', asking: [] });
  if (claim?.jobId !== jobId) throw new Error('the chunk of the job is not there to claim');
  return claim;
}

/** What schedulers do with jobs that may have come to their end. */
async function endJobs(): Promise<void> {
  const { pool } = world.api;
  const slotWatch = { latest: () => undefined };
  const metrics = addBulkMetrics(createMetrics(), () => 1);
  await scheduleRound({ control: pool, source: pool, log: silentLog, metrics, now: Date.now, slotWatch });
}

test('a job whose last chunk is finished while it pauses for the feed has ended, and does not wait for the feed', async () => {
  const { key, ids } = await world.account(3);
  const { json } = await world.submit(key, { ...voidAll, filter: undefined, ids });
  const claim = await claimOnly(json.job_id);
  expect(await pauseForFeed(world.api.pool)).toEqual([json.job_id]);
  await endJobs();
  expect(await world.status(key, json.job_id)).toMatchObject({ status: 'paused', pause_reason: 'feed' });
  const counts = { succeeded: 3, failed: 0, skipped: 0, errorCounts: {}, recentErrors: [] };
  await reportChunk(world.api.pool, { ...claim, counts, delayMs: 0 }, Date.now());
  await endJobs();
  expect(await world.status(key, json.job_id)).toMatchObject({ status: 'completed', succeeded: 3 });
});

test('what a job had set aside of the quota is given back when it ends without being counted', async () => {
  const { key, id, ids } = await world.account(3);
  await world.api.pool.query('update accounts set bulk_quota = 3 where id = $1', [id]);
  const { json } = await world.submit(key, { ...voidAll, filter: undefined, ids });
  const claim = await claimOnly(json.job_id);
  await reserveQuota(world.api.pool, claim, 3, Date.now());
  await world.api.pool.query(
    `update bulk_chunks set lease_expires_at = now() - interval '1 s' where job_id = $1`,
    [json.job_id],
  );
  await failJob(world.api.pool, json.job_id, { code: 'source_refused', message: 'it is not there' });
  const rename = (from: string, to: string) =>
    world.api.pool.query(`alter table tandem.${from} rename to ${to}`);
  await rename('bulk_ledger', 'moved_ledger');
  await endJobs();
  await rename('moved_ledger', 'bulk_ledger');
  expect(await world.status(key, json.job_id)).toMatchObject({
    status: 'failed',
    processed: 0,
    quota: { limit: 3, used: 0, remaining: 3 },
  });
});
