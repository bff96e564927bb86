import { afterAll, beforeAll, expect, test } from 'vitest';
import { recordResults } from '../../../shared/bulk/ledger.ts';
import { reserveQuota } from '../../../shared/control/bulk/bulk-quota.ts';
import { claimChunk } from '../../../shared/control/bulk/claim-chunk.ts';
import { startJobs } from '../../../shared/control/bulk/queue-jobs.ts';
import { ADMIN_KEY } from '../../support/api-server.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';
import { waitFor } from '../../support/wait-for.ts';

let world: BulkWorld;
beforeAll(async () => {
  world = await openBulkWorld();
  // Every change of an invoice, so that one which is done twice is seen.
  await world.api.pool.query(`
    create table documint.touches (id bigint);
    create function documint.note_touch() returns trigger language plpgsql as $$
      begin insert into documint.touches values (new.id); return new; end $$;
    create trigger note_touch after update on documint.invoices for each row execute function documint.note_touch()`);
});
afterAll(() => world[Symbol.asyncDispose]());

const voidAll = { resource: 'invoices', operation: 'void', async: true, filter: { status: { eq: 'open' } } };

const setQuota = async (id: string, quota: unknown) => {
  const body = { limits: { bulk_quota: quota } };
  const { status } = await world.api.call('PATCH', `/admin/accounts/${id}`, { key: ADMIN_KEY, body });
  expect(status).toBe(200);
};

/** What was used and set aside in each of an account's periods. */
const quotaUse = async (id: string): Promise<{ used: number; reserved: number }[]> => {
  const { rows } = await world.api.pool.query<{ used: number; reserved: number }>(
    'select used::int, reserved::int from bulk_quota_use where account_id = $1 order by span',
    [id],
  );
  return rows;
};

const touchesOf = async (ids: readonly string[]) => {
  const { rows } = await world.api.pool.query<{ touched: number; items: number }>(
    `select count(*)::int as touched, count(distinct id)::int as items from documint.touches where id = any ($1::bigint[])`,
    [ids],
  );
  return rows[0];
};

test('with a quota of a second a job pauses and goes on by itself, period after period, and never uses more', async () => {
  const { key, id, ids } = await world.account(35);
  await setQuota(id, { items: 10, period: { seconds: 1 } });
  const { json } = await world.submit(key, voidAll);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker({ BULK_CHUNK_ITEMS: '4' }));
  const done = await waitFor('the job has ended', async () => {
    expect((await quotaUse(id)).filter(({ used, reserved }) => used + reserved > 10)).toEqual([]);
    const status = await world.status(key, json.job_id);
    return status.status === 'completed' ? status : undefined;
  });
  expect(done).toMatchObject({ succeeded: 35, total: 35 });
  expect(await touchesOf(ids)).toEqual({ touched: 35, items: 35 });
  const periods = await quotaUse(id);
  expect(periods.length).toBeGreaterThanOrEqual(4);
  expect(periods.reduce((sum, { used }) => sum + used, 0)).toBe(35);
  expect(periods.every(({ reserved }) => reserved === 0)).toBe(true);
});

test('a job that waits for quota says when its period ends, and resumes at that moment', async () => {
  const { key, id } = await world.account(5);
  await setQuota(id, { items: 3, period: 'week' });
  const { json } = await world.submit(key, voidAll);
  world.api.clock.nowMs = Date.UTC(2026, 10, 26, 12);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => {
    world.api.clock.nowMs = undefined;
  });
  cleanup.defer(await world.startWorker());
  const resetsAt = '2026-11-30T00:00:00.000Z';
  expect(await world.until(key, json.job_id, 'paused')).toMatchObject({
    status: 'paused',
    quota: { limit: 3, used: 3, remaining: 0, resets_at: resetsAt },
    resumes_at: resetsAt,
  });
  world.api.clock.nowMs = Date.parse(resetsAt);
  expect(await world.until(key, json.job_id)).toMatchObject({
    status: 'completed',
    succeeded: 5,
    quota: { used: 2, remaining: 1, resets_at: '2026-12-07T00:00:00.000Z' },
  });
});

test('another limit and another kind of period take effect on a job that is paused already', async () => {
  const { key, id } = await world.account(9);
  await setQuota(id, { items: 3 });
  const { json } = await world.submit(key, voidAll);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const pausedAfter = (processed: number) =>
    waitFor(`the job is paused after ${processed}`, async () => {
      const status = await world.status(key, json.job_id);
      return status.status === 'paused' && status.processed === processed ? status : undefined;
    });
  await pausedAfter(3);
  await setQuota(id, { items: 5 });
  const nowMs = Date.now();
  expect(Date.parse((await pausedAfter(5)).resumes_at)).toBeGreaterThan(nowMs);
  await setQuota(id, { items: 2, period: { seconds: 3_600, starting_at: '2026-01-01T00:30:00Z' } });
  const { resumes_at: resumesAt } = await pausedAfter(7);
  expect(resumesAt).toMatch(/:30:00\.000Z$/);
  await setQuota(id, { items: null });
  expect(await world.until(key, json.job_id)).toMatchObject({ status: 'completed', succeeded: 9 });
});

const malformed = Array.from({ length: 10 }, (_, index) => `bad ${index}`);

test('IDs that are malformed or come again cost nothing, at once and as a job', async () => {
  const { key, id, ids } = await world.account(20);
  await setQuota(id, { items: 20 });
  const body = { resource: 'invoices', operation: 'void' };
  const now = await world.submit(key, { ...body, ids: [...ids.slice(0, 10), ...malformed, ids[0]] });
  expect(now).toMatchObject({ status: 200, json: { succeeded: 10, failed: 10, skipped: 1 } });
  expect(await quotaUse(id)).toEqual([{ used: 10, reserved: 0 }]);
  const later = { ...body, async: true, ids: [...ids.slice(10), ...malformed, ids[10]] };
  const { json } = await world.submit(key, later);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  expect(await world.until(key, json.job_id)).toMatchObject({
    status: 'completed',
    succeeded: 10,
    failed: 10,
    quota: { limit: 20, used: 20, remaining: 0 },
  });
  const onlyBad = await world.submit(key, { ...body, async: true, ids: malformed });
  expect(await world.until(key, onlyBad.json.job_id)).toMatchObject({ status: 'completed', failed: 10 });
  expect(await world.submit(key, { ...body, ids: malformed })).toMatchObject({ status: 200 });
  expect(await quotaUse(id)).toEqual([{ used: 20, reserved: 0 }]);
});

test('what a worker did before it died stays covered by what it had set aside, so that no other uses it', async () => {
  const { key, id, ids } = await world.account(20);
  await setQuota(id, { items: 10 });
  const { pool } = world.api;
  const submit = async (chosen: readonly string[]) =>
    (await world.submit(key, { ...voidAll, filter: undefined, ids: chosen })).json.job_id;
  const [first, second] = [await submit(ids.slice(0, 10)), await submit(ids.slice(10))];
  await startJobs(pool, Date.now());
  const claimAs = async (owner: string) => {
    const claim = await claimChunk(pool, owner, { kind: 'rows', asking: [] });
    if (claim === undefined) throw new Error('there is no chunk to claim');
    return { claim, reserve: () => reserveQuota(pool, claim, 10, Date.now()) };
  };
  const expire = (jobId: string) =>
    pool.query(`update bulk_chunks set lease_expires_at = now() - interval '1 s' where job_id = $1`, [jobId]);
  const dying = await claimAs('dying');
  expect(dying.claim.jobId).toBe(first);
  expect(await dying.reserve()).toEqual({ kind: 'granted', count: 10 });
  const done = ids.slice(0, 10).map((itemId, seq) => ({ seq, itemId, status: 'succeeded' as const }));
  await recordResults(
    pool,
    first,
    done.map((item) => ({ ...item, code: null, message: null, line: null })),
  );
  await expire(first);
  await claimAs('heir');
  const other = await claimAs('other');
  expect(other.claim.jobId).toBe(second);
  expect(await other.reserve()).toEqual({ kind: 'wait' });
  await expire(first);
  await expire(second);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  expect(await world.until(key, first)).toMatchObject({ status: 'completed', succeeded: 10 });
  expect(await world.until(key, second, 'paused')).toMatchObject({ status: 'paused', processed: 0 });
  expect(await quotaUse(id)).toEqual([{ used: 10, reserved: 0 }]);
});
