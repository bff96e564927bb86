import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
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
