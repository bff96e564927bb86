import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ClaimedChunk, claimChunk } from '../../../shared/control/bulk/claim-chunk.ts';
import { startJobs } from '../../../shared/control/bulk/queue-jobs.ts';
import { reportChunk } from '../../../shared/control/bulk/report-chunk.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';

let world: BulkWorld;
beforeAll(async () => {
  world = await openBulkWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

/** Reports of a worker that does so many items a second, by a clock that the test moves. */
function pacedWorker(pool: BulkWorld['api']['pool'], startMs: number) {
  let nowMs = startMs;
  let chunk: { claim: ClaimedChunk; done: number } | undefined;
  return {
    async work(seconds: number, itemsPerSecond: number): Promise<void> {
      for (let second = 0; second < seconds; second += 1) {
        nowMs += 1_000;
        if (chunk === undefined) {
          const claim = await claimChunk(pool, 'paced', { kind: 'rows', asking: [] });
          if (claim === undefined) throw new Error('there is no chunk to claim');
          chunk = { claim, done: 0 };
        }
        const { claim } = chunk;
        chunk.done += itemsPerSecond;
        const isDone = chunk.done === claim.items.length;
        const counts = { succeeded: chunk.done, failed: 0, skipped: 0, errorCounts: {}, recentErrors: [] };
        await reportChunk(pool, { ...claim, counts, delayMs: isDone ? 0 : null }, nowMs);
        if (isDone) chunk = undefined;
      }
    },
  };
}

test('items that get ten times slower halfway show in the ETA within a minute', async () => {
  const { key } = await world.account(1);
  const ids = Array.from({ length: 6_000 }, (_, index) => String(10_000_000 + index));
  const { json } = await world.submit(key, { resource: 'invoices', operation: 'void', async: true, ids });
  const startMs = Date.UTC(2026, 10, 1);
  await startJobs(world.api.pool, startMs);
  const worker = pacedWorker(world.api.pool, startMs);
  const etaSeconds = async () => {
    const { status, eta_seconds: eta } = await world.status(key, json.job_id);
    expect(status).toBe('running');
    return eta;
  };
  expect(await etaSeconds()).toBeNull();
  await worker.work(30, 100);
  expect(await etaSeconds()).toBe(30);
  await worker.work(60, 10);
  // 2,400 items are left, 240 s at ten a second.
  expect(await etaSeconds()).toBeGreaterThan(240 * 0.8);
  expect(await etaSeconds()).toBeLessThanOrEqual(240);
});
