import type pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { startJobs } from '../../../shared/control/bulk/queue-jobs.ts';
import { migrate } from '../../../shared/control/migrate.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { type QueuedJob, runJobQueue } from '../../simulation/job-queue.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await createDatabase('queue');
  pool = createControlPool(database.url, silentLog, { applicationName: 'test' });
  await migrate(pool);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const ACCOUNTS = 8;
const SLOTS = 3;
const CHUNK_MS = 1_000;

const FLOOD_JOBS = 4;
const FLOOD_CHUNKS = 6;
const QUIET_CHUNKS = 2;

test('tenants that flood the queue with large jobs hold up nobody: accounts take turns, chunk by chunk', async () => {
  const accounts = Array.from({ length: ACCOUNTS }, (_, n) => `acct_${n}`);
  await pool.query(
    'insert into accounts (id, name, source_id) select id, id, id from unnest($1::text[]) id',
    [accounts],
  );
  // As many tenants flood as there are workers, ahead of all others.
  const floods = accounts.slice(0, SLOTS).flatMap((accountId) =>
    Array.from({ length: FLOOD_JOBS }, (_, n): QueuedJob => {
      return { id: `blk_${accountId}_${n}`, accountId, chunks: FLOOD_CHUNKS };
    }),
  );
  const quiet = accounts.slice(SLOTS).map((accountId): QueuedJob => {
    return { id: `blk_${accountId}`, accountId, chunks: QUIET_CHUNKS };
  });
  const run = await runJobQueue(pool, { jobs: [...floods, ...quiet], slots: SLOTS, chunkMs: () => CHUNK_MS });
  expect(run.mostRunning).toBe(3);
  expect(run.claims).toHaveLength(FLOOD_JOBS * SLOTS * FLOOD_CHUNKS + quiet.length * QUIET_CHUNKS);
  // While all have something to do, each has a turn in as many chunks as there are accounts, one more at a boundary.
  const roundMs = (Math.ceil(ACCOUNTS / SLOTS) + 1) * CHUNK_MS;
  for (const { id } of quiet) {
    const first = run.claims.find(({ jobId }) => jobId === id);
    expect(first?.atMs).toBeLessThanOrEqual(roundMs);
    expect(run.endedMs.get(id)).toBeLessThanOrEqual(QUIET_CHUNKS * roundMs + CHUNK_MS);
  }
});

test('thousands of queued jobs of one account cost its turns no more than they are', async () => {
  await pool.query('truncate accounts, bulk_jobs cascade');
  await pool.query('alter table bulk_jobs set (autovacuum_enabled = false)');
  await pool.query(
    `insert into accounts (id, name, source_id) select 'acct_' || n, n::text, n::text from generate_series(0, 49) n`,
  );
  const request = '{"resource": "invoices", "operation": "void", "params": {}, "semantics": "snapshot"}';
  // The planner knows nothing of a burst yet: it has only seen jobs that have ended.
  await pool.query(
    `insert into bulk_jobs (id, account_id, resource, operation, request, status, estimated, ended_at)
     select 'blk_0' || n, 'acct_0', 'invoices', 'void', $1, 'completed', 1, now() from generate_series(1, 200) n`,
    [request],
  );
  await pool.query('analyze bulk_jobs');
  await pool.query(
    `insert into bulk_jobs (id, account_id, resource, operation, request, status, estimated)
     select 'blk_' || n, 'acct_' || greatest(0, n - 8000) % 50, 'invoices', 'void', $1, 'pending', 1
     from generate_series(1, 8200) n`,
    [request],
  );
  // Counted for each job again they are 64 million rows.
  const limits = { applicationName: 'test hasty', statementTimeoutMs: 10_000 };
  const hasty = createControlPool(database.url, silentLog, limits);
  onTestFinished(() => hasty.end());
  await startJobs(hasty, Date.now());
  const { rows } = await pool.query<{ count: number }>(
    'select count(*)::int as count from bulk_jobs where admitted_at is not null group by account_id',
  );
  expect(rows).toEqual(Array.from({ length: 50 }, () => ({ count: 3 })));
});
