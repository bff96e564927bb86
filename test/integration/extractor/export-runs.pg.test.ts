import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { sealExport } from '../../../services/dispatcher/mirror/store-feed.ts';
import { collectChanged } from '../../../services/extractor/chunked/changed-records.ts';
import { SingleSnapshotNeededError } from '../../../services/extractor/extraction-errors.ts';
import { endCancelledExports, failExport } from '../../../shared/control/exports/end-export.ts';
import {
  addChunks,
  type Ending,
  finishRun,
  noteAllPlanned,
  readRunStatuses,
  releaseExport,
  renewExport,
} from '../../../shared/control/exports/export-run.ts';
import { ASSEMBLIES_CHANNEL, SEALS_CHANNEL } from '../../../shared/protocol/names.ts';
import { CLAIM_LIMITS, type ExportStore, openExportStore } from '../../support/export-store.ts';
import { waitFor } from '../../support/wait-for.ts';

let store: ExportStore;
beforeAll(async () => {
  store = await openExportStore();
});
beforeEach(() => store.empty());
afterAll(() => store?.[Symbol.asyncDispose]());

test('an export that asks for what only a newer version knows is left to that, as are its chunks', async () => {
  await store.addExports('a', ['newer', 'older']);
  await store.pool.query(`update exports set request = '{"sampled": {"share": 0.1}}' where id = 'newer'`);
  await store.pool.query(
    `update exports set request = '{"sampled": null, "sorted": false, "format": "csv"}' where id = 'older'`,
  );
  expect((await store.claim())?.id).toBe('older');
  expect(await store.claim()).toBeUndefined();
  await store.pool.query(
    `/* arranged */ update exports set status = 'cancelled', phase = 'done' where id = 'older'`,
  );
  // A newer extractor works on it.
  await store.pool.query(`update exports set request = '{}' where id = 'newer'`);
  await store.startRun(1);
  await store.pool.query(`update exports set request = '{"sampled": {"share": 0.1}}' where id = 'newer'`);
  expect(await store.claimChunk('older')).toBeUndefined();
  await store.pool.query(`update exports set request = '{}' where id = 'newer'`);
  expect(await store.claimChunk('newer')).toMatchObject({ exportId: 'newer', chunk: 0 });
});

test('a statement that leaves the state machines fails', async () => {
  await store.addExports('acme', ['e1']);
  await expect(store.pool.query("update exports set status = 'completed' where id = 'e1'")).rejects.toThrow(
    'exports.status moves from pending to completed, which no event does',
  );
});

test('extractors that claim at once stay within the account’s limit, and take the oldest', async () => {
  await store.addExports('acme', ['e1', 'e2', 'e3', 'e4']);
  const claimed = await Promise.all(Array.from({ length: 8 }, () => store.claim()));
  expect(claimed.flatMap((one) => one?.id ?? []).sort()).toEqual(['e1', 'e2']);
});

test('exports of all accounts have a limit of their own', async () => {
  await store.addExports('acme', ['e1']);
  await store.pool.query(`insert into exports (id, request, resources, status, phase)
    select 'all' || g, '{}', '{orders}', 'pending', 'queued' from generate_series(1, 3) g`);
  const claimed = await Promise.all(Array.from({ length: 8 }, () => store.claim()));
  expect(claimed.flatMap((one) => one?.id ?? []).sort()).toEqual(['all1', 'all2', 'e1']);
});

test('a lost run is started again without its chunks, and its holder can add none', async () => {
  await store.addExports('acme', ['e1']);
  const first = await store.startRun(2);
  const reading = await store.claimChunk('reader');
  expect(await noteAllPlanned(store.pool, first)).toBe(true);
  await store.expireLeases();
  const second = await store.claim('two');
  expect(second).toMatchObject({ id: 'e1', runCount: 2 });
  expect(await noteAllPlanned(store.pool, first)).toBe(false);
  expect((await store.pool.query('select all_planned from exports')).rows).toEqual([{ all_planned: false }]);
  expect(second?.runAttempt).toBeGreaterThan(reading?.attempt ?? Number.POSITIVE_INFINITY);
  expect(await renewExport(store.pool, first)).toBe(false);
  expect((await readRunStatuses(store.pool, [first]))[0]).toEqual({ state: 'lost' });
  const planned = { resource: 'orders', chunk: 2, lowerKey: null, upperKey: null, rows: 1 };
  expect(await addChunks(store.pool, first, 'snapshot-1', [planned])).toBe(false);
  expect(reading && (await store.finishChunk(reading, 10))).toBe(false);
  expect(await store.claimChunk('reader')).toBeUndefined();
});

test('a run that is read and sealed is not started again when its holder dies', async () => {
  await store.addExports('acme', ['e1']);
  const run = await store.startRun(1);
  const chunk = await store.claimChunk('reader');
  if (chunk !== undefined) await store.finishChunk(chunk, 10);
  expect(await finishRun(store.pool, run)).toBe(true);
  await store.pool.query("update exports set sealed_lsn = '0/3'");
  await store.expireLeases();
  expect(await store.claim('two')).toBeUndefined();
});

test('the holder hears of its seal, and the writers of an export that they may assemble', async () => {
  await store.addExports('acme', ['e1']);
  const run = await store.startRun(1);
  const heard: string[] = [];
  const client = await store.pool.connect();
  try {
    client.on('notification', ({ channel, payload }) => heard.push(`${channel} ${payload}`));
    await client.query(`listen ${SEALS_CHANNEL}; listen ${ASSEMBLIES_CHANNEL}`);
    await sealExport(store.pool, { job_id: 'e1', token: 'of an earlier run', commit_lsn: 16 });
    await sealExport(store.pool, { job_id: 'e1', token: 'token', commit_lsn: 16 });
    await waitFor('the seal', () => heard.length === 1);
    await finishRun(store.pool, run);
    await finishRun(store.pool, run);
    await waitFor('the end of the run', () => heard.length === 2);
    expect(heard).toEqual([`${SEALS_CHANNEL} e1`, `${ASSEMBLIES_CHANNEL} e1`]);
  } finally {
    client.release(true);
  }
});

test('an export whose holders keep dying is given up', async () => {
  await store.addExports('acme', ['e1']);
  for (let run = 1; run <= CLAIM_LIMITS.maxRuns; run += 1) {
    expect((await store.claim())?.runCount).toBe(run);
    await store.expireLeases();
  }
  expect(await store.claim()).toBeUndefined();
  expect(await store.statusOf('e1')).toMatchObject({
    status: 'failed',
    error: { code: 'attempts_exhausted' },
  });
});

test('a run whose process died lets the next one wait no longer, and a chunk that is read ends the waiting', async () => {
  await store.addExports('acme', ['e1']);
  await store.startChunked(1);
  await store.expireLeases();
  await store.claim();
  await store.expireLeases();
  const third = await store.claim();
  expect(third).toMatchObject({ runCount: 3, failedRuns: 0 });
  if (third === undefined) throw new Error('nothing to claim');
  await releaseExport(store.pool, third, { delayMs: -1, ending: 'outage' });
  expect(await store.claim()).toMatchObject({ runCount: 3, failedRuns: 1 });
  const chunk = await store.claimChunk('reader');
  expect(chunk && (await store.finishChunk(chunk, 10))).toBe(true);
  await store.expireLeases();
  expect(await store.claim()).toMatchObject({ runCount: 2, failedRuns: 0 });
});

test('a run whose outage lasts longer than its lease is taken off the count, though the next one has begun', async () => {
  await store.addExports('acme', ['e1']);
  const first = await store.claim();
  await store.expireLeases();
  expect(await store.claim('two')).toMatchObject({ runCount: 2 });
  if (first === undefined) throw new Error('nothing to claim');
  await releaseExport(store.pool, first, { delayMs: 0, ending: 'outage' });
  // What is left is the second run, which has its lease still.
  expect(await store.claim('three')).toBeUndefined();
  await store.expireLeases();
  expect(await store.claim('three')).toMatchObject({ runCount: 2, failedRuns: 1 });
});

/** What may become of a run, or happen while it lasts. */
type Fate = Exclude<Ending, 'let_go'> | 'killed' | 'stopped' | 'chunk read';

test('an export fails by what may be its own doing, in a row and often enough, and by nothing else', async () => {
  const fates = fc.array(
    fc.constantFrom<Fate>(
      'outage',
      'setback',
      'gave_way',
      'unexplained',
      'killed',
      'killed',
      'stopped',
      'chunk read',
    ),
    { maxLength: 30 },
  );
  await fc.assert(
    fc.asyncProperty(fates, async (ended) => {
      await store.empty();
      await store.addExports('acme', ['e1']);
      let [unknown, setbacks, gaveWay] = [0, 0, 0];
      let run = await store.startChunked(ended.length);
      for (const fate of ended) {
        if (fate === 'chunk read') {
          expect(await store.finishChunk(await store.claimOne('reader'), 10)).toBe(true);
          [unknown, setbacks, gaveWay] = [0, 0, 0];
          continue;
        }
        if (fate === 'killed') await store.expireLeases();
        else
          await releaseExport(store.pool, run, { delayMs: -1, ending: fate === 'stopped' ? 'let_go' : fate });
        if (fate === 'killed' || fate === 'unexplained') unknown += 1;
        if (fate === 'setback') setbacks += 1;
        if (fate === 'gave_way') gaveWay += 1;
        const next = await store.claim();
        if (unknown >= CLAIM_LIMITS.maxRuns) {
          expect(next).toBeUndefined();
          expect(await store.statusOf('e1')).toMatchObject({ status: 'failed' });
          return;
        }
        expect(next).toMatchObject({ runCount: unknown + 1, setbackRuns: setbacks, gaveWayRuns: gaveWay });
        if (next !== undefined) run = next;
      }
    }),
    { numRuns: 25 },
  );
});

test('stopping in good order costs an export no try', async () => {
  await store.addExports('acme', ['e1']);
  for (let turn = 0; turn < 7; turn += 1) {
    const run = await store.claim();
    expect(run?.runCount).toBe(1);
    if (run !== undefined) await releaseExport(store.pool, run, { delayMs: -1, ending: 'let_go' });
  }
});

test('an export ends as failed once, and never after it has ended or is being cancelled', async () => {
  await store.addExports('acme', ['e1', 'e2']);
  const [first, second] = [await store.claim(), await store.claim()];
  if (first === undefined || second === undefined) throw new Error('nothing to claim');
  const failure = { code: 'table_changed', message: 'changed' };
  expect(await failExport(store.pool, 'e1', first.runAttempt, failure)).toBe(true);
  expect(await failExport(store.pool, 'e1', first.runAttempt, failure)).toBe(false);
  await store.pool.query("/* arranged */ update exports set status = 'cancelling' where id = 'e2'");
  expect(await failExport(store.pool, 'e2', second.runAttempt, failure)).toBe(false);
  const { rows } = await store.pool.query("select key, payload from outbox where type = 'JobFailed'");
  expect(rows).toEqual([{ key: 'e1', payload: { job_id: 'e1', kind: 'export', ...failure } }]);
});

test('a cancelling export ends once neither its holder nor a reader holds it', async () => {
  await store.addExports('acme', ['e1']);
  const run = await store.startRun(1);
  const chunk = await store.claimChunk('reader');
  await store.pool.query("/* arranged */ update exports set status = 'cancelling'");
  expect((await readRunStatuses(store.pool, [run]))[0]).toEqual({ state: 'cancelling' });
  expect(await endCancelledExports(store.pool)).toEqual([]);
  await releaseExport(store.pool, run, { delayMs: 0, ending: 'let_go' });
  expect(await endCancelledExports(store.pool)).toEqual([]);
  expect(chunk && (await store.renewChunk(chunk, 1))).toBe(false);
  if (chunk !== undefined) await store.releaseChunk(chunk, { delayMs: 0, ending: 'let_go' });
  const ended = await Promise.all([endCancelledExports(store.pool), endCancelledExports(store.pool)]);
  expect(ended.flat()).toEqual(['e1']);
  expect(await store.statusOf('e1')).toMatchObject({ status: 'cancelled', phase: 'done' });
});

test('changed records that take too long to collect are a reason to read under one snapshot', async () => {
  await store.addExports('one', ['exp_1']);
  const run = await store.startRun(0);
  const holder = await store.pool.connect();
  try {
    await holder.query('begin; lock table export_keys in access exclusive mode');
    const collected = collectChanged(store.pool, run, '5:9:7', 'orders').catch((error: unknown) => error);
    await waitFor('the statement to be cancelled', async () => {
      const { rows } = await store.pool.query<{ is_cancelled: boolean }>(
        `select pg_cancel_backend(pid) as is_cancelled from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and query like '%insert into export_keys%'
           and pid <> pg_backend_pid()`,
      );
      return rows.length > 0;
    });
    expect(await collected).toBeInstanceOf(SingleSnapshotNeededError);
  } finally {
    await holder.query('rollback');
    holder.release();
  }
});
