import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { migrate } from '../../../shared/control/migrate.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { type RequestedExport, runExportQueue } from '../../simulation/export-queue.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';

/** Two extractors as they are by default: eight places for exports, and four readers of chunks. */
const CLUSTER = { extractors: 2, places: 4, readers: 2, rowsPerChunk: 20_000, chunkMs: 2_000, planMs: 500 };

let database: TestDatabase;
let pool: ReturnType<typeof createControlPool>;

beforeAll(async () => {
  database = await createDatabase('fair_exports');
  pool = createControlPool(database.url, silentLog, { applicationName: 'test' });
  await migrate(pool);
});
beforeEach(() => pool.query('truncate accounts, exports, outbox cascade'));
afterAll(async () => {
  await pool?.end();
  await database?.drop();
});

async function addAccounts(ids: Iterable<string>): Promise<void> {
  await pool.query(
    `insert into accounts (id, name, source_id, max_running_exports) select id, id, id, 10 from unnest($1::text[]) id`,
    [[...new Set(ids)]],
  );
}

async function run(requests: readonly RequestedExport[]) {
  await addAccounts(requests.map(({ accountId }) => accountId));
  const { claims, endedMs } = await runExportQueue(pool, { ...CLUSTER, requests });
  const startedMs = (id: string) => claims.find(({ exportId }) => exportId === id)?.atMs ?? Number.NaN;
  return { claims, endedMs, startedMs };
}

const large = (account: string, chunks = 12, atMs = 0, name = account): RequestedExport => ({
  id: `exp_${name}`,
  accountId: account,
  atMs,
  chunks,
});
const small = (account: string, atMs: number): RequestedExport => large(account, 1, atMs, `${account}_small`);

test('while large exports of twenty accounts wait and run, a small one of another is read within seconds', async () => {
  const tenants = Array.from({ length: 20 }, (_, index) => large(`tenant_${String(index).padStart(2, '0')}`));
  const { startedMs, endedMs } = await run([...tenants, small('late', 20_000)]);
  // The large ones take 20 × 12 chunks of 2 s by four readers.
  expect(Math.max(...endedMs.values())).toBeGreaterThan(110_000);
  expect(startedMs('exp_late_small') - 20_000).toBeLessThanOrEqual(5_000);
});

test('readers fewer than exports go around all of them', async () => {
  const six = ['a', 'b', 'c', 'd', 'e', 'f'].map((account) => large(account, 30));
  const { claims } = await run(six);
  const counts = new Map(six.map(({ id }) => [id, 0]));
  const spreads: number[] = [];
  for (const { exportId } of claims) {
    counts.set(exportId, (counts.get(exportId) ?? 0) + 1);
    spreads.push(Math.max(...counts.values()) - Math.min(...counts.values()));
  }
  expect(Math.max(...spreads)).toBeLessThanOrEqual(2);
});

test('an account with many exports gets no more readers than one with a single export', async () => {
  const many = Array.from({ length: 5 }, (_, index) => large('many', 12, 0, `many_${index}`));
  const { endedMs, claims } = await run([...many, large('one', 12)]);
  const untilOneEnded = claims.filter(({ atMs }) => atMs < (endedMs.get('exp_one') ?? 0));
  const ofOne = untilOneEnded.filter(({ exportId }) => exportId === 'exp_one').length;
  expect(ofOne / untilOneEnded.length).toBeGreaterThan(0.4);
});
