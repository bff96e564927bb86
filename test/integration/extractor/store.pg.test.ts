import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { collectChanged } from '../../../services/extractor/chunked/changed-records.ts';
import { SingleSnapshotNeededError } from '../../../services/extractor/extraction-errors.ts';
import {
  findCurrentChunks,
  findOpenChunks,
  recordChunksWritten,
} from '../../../shared/control/chunks/chunk-attempts.ts';
import {
  type ClaimedChunk,
  claimChunks,
  endChunkedReading,
  finishChunks,
  releaseChunks,
  renewChunks,
} from '../../../shared/control/chunks/claim-chunk.ts';
import {
  cancelExport,
  endCancelledExports,
  failByChunk,
  failExport,
} from '../../../shared/control/exports/end-export.ts';
import {
  addChunks,
  finishPlanning,
  noteAllPlanned,
  readRunStatus,
  recordSnapshot,
  releaseExport,
  renewExport,
} from '../../../shared/control/exports/export-run.ts';
import { pauseExport, resumeExport } from '../../../shared/control/exports/pause-export.ts';
import { type ClaimedExport, claimExport } from '../../../shared/control/exports/queue-exports.ts';
import { migrate } from '../../../shared/control/migrate.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { guardTransitions } from '../../support/guard-transitions.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

const LIMITS = { maxRunningOfAllAccounts: 2, maxRuns: 5 };

let database: TestDatabase;
let pool: ReturnType<typeof createControlPool>;

beforeAll(async () => {
  database = await createDatabase('extractor_store');
  pool = createControlPool(database.url, silentLog, { applicationName: 'test', max: 20 });
  await migrate(pool);
  await guardTransitions(pool);
});

beforeEach(() => pool.query('truncate accounts, exports, outbox cascade'));

afterAll(async () => {
  await pool?.end();
  await database?.drop();
});

async function addExports(accountId: string, ids: string[]): Promise<void> {
  await pool.query(
    `insert into accounts (id, name, source_id, max_running_exports) values ($1, $1, $1, 2) on conflict do nothing`,
    [accountId],
  );
  for (const id of ids) {
    await pool.query(
      `insert into exports (id, account_id, request, resources, status, phase)
       values ($1, $2, '{}', '{orders}', 'pending', 'queued')`,
      [id, accountId],
    );
  }
}

const claim = (owner = 'one') => claimExport(pool, owner, LIMITS);

/** An export that is being extracted, with chunks of ten rows. */
async function startRun(
  chunkCount: number,
  snapshotName: string | null = 'snapshot-1',
): Promise<ClaimedExport> {
  const claimed = await claim();
  if (claimed === undefined) throw new Error('nothing to claim');
  const snapshot = { takenAt: '', lsn: '0/2', xmin: '5', xmax: '9', xip: ['7'] };
  await recordSnapshot(pool, claimed, {
    ...snapshot,
    startLsn: '0/1',
    tableForms: {},
    sealToken: 'token',
    systemId: '1',
    timeline: 1,
  });
  for (let chunk = 0; chunk < chunkCount; chunk += 1) {
    const planned = { resource: 'orders', chunk, lowerKey: null, upperKey: null, rows: 10 };
    await addChunks(pool, claimed, snapshotName, [planned]);
  }
  return claimed;
}

/** One by one, as large chunks are. */
const claimChunk = async (owner: string) =>
  (await claimChunks(pool, owner, { maxChunks: 1, maxRows: 0 }))?.[0];
const renewChunk = (chunk: ClaimedChunk, rows: number) => renewChunks(pool, [chunk], [rows]);
const TEN_ROWS = { rows: 10, recordKeys: null, readLsn: null, seen: null };

const finishChunk = (chunk: ClaimedChunk, rows: number) =>
  finishChunks(pool, [chunk], [{ rows, recordKeys: null, readLsn: null, seen: null }]);
const releaseChunk = (chunk: ClaimedChunk, how: { delayMs: number; isCounted: boolean }) =>
  releaseChunks(pool, [chunk], how);

const expireLeases = () =>
  pool.query(`update exports set lease_expires_at = now() - interval '1 second';
              update export_chunks set lease_expires_at = now() - interval '1 second'`);

async function statusOf(id: string) {
  const { rows } = await pool.query(
    'select status, phase, error, rows_extracted from exports where id = $1',
    [id],
  );
  return rows[0];
}

test('an export that asks for what only a newer version knows is left to that, as are its chunks', async () => {
  await addExports('a', ['newer', 'older']);
  await pool.query(`update exports set request = '{"sampled": {"share": 0.1}}' where id = 'newer'`);
  await pool.query(
    `update exports set request = '{"sampled": null, "sorted": false, "format": "csv"}' where id = 'older'`,
  );
  expect((await claim())?.id).toBe('older');
  expect(await claim()).toBeUndefined();
  await pool.query(
    `/* arranged */ update exports set status = 'cancelled', phase = 'done' where id = 'older'`,
  );
  // A newer extractor works on it.
  await pool.query(`update exports set request = '{}' where id = 'newer'`);
  await startRun(1);
  await pool.query(`update exports set request = '{"sampled": {"share": 0.1}}' where id = 'newer'`);
  expect(await claimChunk('older')).toBeUndefined();
  await pool.query(`update exports set request = '{}' where id = 'newer'`);
  expect(await claimChunk('newer')).toMatchObject({ exportId: 'newer', chunk: 0 });
});

test('a statement that leaves the state machines fails', async () => {
  await addExports('acme', ['e1']);
  await expect(pool.query("update exports set status = 'completed' where id = 'e1'")).rejects.toThrow(
    'exports.status moves from pending to completed, which no event does',
  );
});

test('extractors that claim at once stay within the account’s limit, and take the oldest', async () => {
  await addExports('acme', ['e1', 'e2', 'e3', 'e4']);
  const claimed = await Promise.all(Array.from({ length: 8 }, () => claim()));
  expect(claimed.flatMap((one) => one?.id ?? []).sort()).toEqual(['e1', 'e2']);
});

test('exports of all accounts have a limit of their own', async () => {
  await addExports('acme', ['e1']);
  await pool.query(`insert into exports (id, request, resources, status, phase)
    select 'all' || g, '{}', '{orders}', 'pending', 'queued' from generate_series(1, 3) g`);
  const claimed = await Promise.all(Array.from({ length: 8 }, () => claim()));
  expect(claimed.flatMap((one) => one?.id ?? []).sort()).toEqual(['all1', 'all2', 'e1']);
});

test('extractors that claim at once never get the same chunk, and each try has its own number', async () => {
  await addExports('acme', ['e1']);
  await startRun(12);
  const claimed = await Promise.all(Array.from({ length: 20 }, (_, index) => claimChunk(`o${index}`)));
  const tries = claimed.flatMap((one) => one ?? []);
  const rest = [];
  for (let one = await claimChunk('late'); one !== undefined; one = await claimChunk('late')) {
    rest.push(one);
  }
  const all = [...tries, ...rest];
  expect(all.map(({ chunk }) => chunk).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 12 }, (_, i) => i),
  );
  expect(new Set(all.map(({ attempt }) => attempt)).size).toBe(12);
  expect(all[0]).toMatchObject({
    held: { name: 'snapshot-1', snapshot: '5:9:7' },
    rowsPlanned: 10,
    tries: 1,
  });
});

test('chunks are claimed from the export that has the fewest being read', async () => {
  await addExports('acme', ['e1', 'e2']);
  await startRun(3);
  await startRun(3);
  const claimed = [];
  for (let turn = 0; turn < 4; turn += 1) claimed.push((await claimChunk('one'))?.exportId);
  expect(claimed).toEqual(['e1', 'e2', 'e1', 'e2']);
});

test('an export with a limit of rows a second is read chunk by chunk', async () => {
  await addExports('acme', ['e1']);
  await pool.query(`update exports set request = '{"max_rows_per_second": 1000}'`);
  await startRun(2);
  const first = await claimChunk('one');
  expect(await claimChunk('two')).toBeUndefined();
  if (first === undefined) throw new Error('no chunk');
  await finishChunk(first, 10);
  expect(await claimChunk('two')).toMatchObject({ chunk: 1 });
});

test('a reader whose lease ran out can finish nothing, and progress never goes down', async () => {
  await addExports('acme', ['e1']);
  await startRun(1);
  const lost = await claimChunk('one');
  if (lost === undefined) throw new Error('no chunk');
  expect(await renewChunk(lost, 8)).toBe(true);
  await expireLeases();
  const again = await claimChunk('two');
  if (again === undefined) throw new Error('the lost chunk was not claimed');
  expect(again.attempt).toBeGreaterThan(lost.attempt);
  expect(again.tries).toBe(2);
  expect(await renewChunk(lost, 9)).toBe(false);
  expect(await finishChunk(lost, 10)).toBe(false);
  expect(await renewChunk(again, 1)).toBe(true);
  expect(await statusOf('e1')).toMatchObject({ rows_extracted: '8' });
  expect(await finishChunk(again, 10)).toBe(true);
  expect(await statusOf('e1')).toMatchObject({ rows_extracted: '10' });
});

test('a chunk that is given back is not held against it, unless said so', async () => {
  await addExports('acme', ['e1']);
  await startRun(1);
  for (const [isCounted, tries] of [
    [false, 1],
    [true, 1],
    [true, 2],
  ] as const) {
    const chunk = await claimChunk('one');
    expect(chunk?.tries).toBe(tries);
    if (chunk !== undefined) await releaseChunk(chunk, { delayMs: -1, isCounted });
  }
});

test('chunks finished at once are all in the sum', async () => {
  await addExports('acme', ['e1']);
  await startRun(10);
  const chunks = [];
  for (let turn = 0; turn < 10; turn += 1) chunks.push(await claimChunk('one'));
  await Promise.all(chunks.map((chunk) => chunk && finishChunk(chunk, 10)));
  expect(await statusOf('e1')).toMatchObject({ rows_extracted: '100' });
});

test.each([
  ['keeps', 'under one snapshot', 'snapshot-1'],
  ['loses', 'under a snapshot of its own', null],
])('a chunk that is read again %s the part of an earlier try %s', async (_, _how, snapshotName) => {
  await addExports('acme', ['e1']);
  await startRun(1, snapshotName);
  const first = await claimChunk('killed');
  if (first === undefined) throw new Error('nothing to claim');
  const recordPart = (chunkAttempt: ClaimedChunk) =>
    recordChunksWritten(pool, [
      { chunkAttempt, part: { path: `part-${chunkAttempt.attempt}`, rows: 10, bytes: 100, schemaId: 1 } },
    ]);
  // The writer is done with the part while its reader is still at other chunks.
  expect(await recordPart(first)).toEqual([true]);
  await expireLeases();
  const again = await claimChunk('two');
  if (again === undefined) throw new Error('nothing to claim');
  const isReadAnew = snapshotName === null;
  expect((await findOpenChunks(pool, [again]))[0] !== undefined).toBe(isReadAnew);
  expect(await recordPart(first)).toEqual([false]);
  expect(await recordPart(again)).toEqual([isReadAnew]);
  expect(await finishChunk(again, 10)).toBe(true);
  const { rows } = await pool.query(
    'select part_name, rows_written, written_at is not null as is_written from export_chunks',
  );
  const { attempt } = isReadAnew ? again : first;
  expect(rows).toEqual([{ part_name: `part-${attempt}`, rows_written: '10', is_written: true }]);
});

test('only the reader that has the chunk ends a chunked reading', async () => {
  await addExports('acme', ['e1']);
  const run = await startRun(1, null);
  await pool.query("update exports set snapshot_kind = 'chunked'");
  const late = await claimChunk('late');
  await expireLeases();
  const chunk = await claimChunk('two');
  if (late === undefined || chunk === undefined) throw new Error('nothing to claim');
  await endChunkedReading(pool, [late], 'a table was altered', 0);
  expect(await readRunStatus(pool, run)).toMatchObject({ openChunkCount: 1, singleReason: null });
  await endChunkedReading(pool, [chunk], 'a table was altered', 0);
  expect(await readRunStatus(pool, run)).toMatchObject({
    openChunkCount: 1,
    singleReason: 'a table was altered',
  });
});

test('small chunks are claimed together, within the limits, and end together', async () => {
  await addExports('acme', ['e1']);
  await startRun(6);
  const batch = await claimChunks(pool, 'one', { maxChunks: 4, maxRows: 35 });
  expect(batch?.map(({ chunk }) => chunk)).toEqual([0, 1, 2]);
  const rest = await claimChunks(pool, 'two', { maxChunks: 2, maxRows: 100 });
  expect(rest?.map(({ chunk }) => chunk)).toEqual([3, 4]);
  if (batch === undefined || rest === undefined) throw new Error('nothing to claim');
  expect(await renewChunks(pool, batch, [1, 2, 3])).toBe(true);
  expect(await statusOf('e1')).toMatchObject({ rows_extracted: '6' });
  await pool.query("update export_chunks set lease_owner = 'thief' where chunk = 1");
  expect(await finishChunks(pool, batch, Array(3).fill(TEN_ROWS))).toBe(false);
  expect(await finishChunks(pool, rest, Array(2).fill(TEN_ROWS))).toBe(true);
  const { rows } = await pool.query("select chunk from export_chunks where state = 'extracted' order by 1");
  expect(rows.map(({ chunk }) => chunk)).toEqual([3, 4]);
  expect(await statusOf('e1')).toMatchObject({ rows_extracted: '26' });
});

test('a chunk that was tried before is claimed alone', async () => {
  await addExports('acme', ['e1']);
  await startRun(4);
  const batch = await claimChunks(pool, 'one', { maxChunks: 2, maxRows: 100 });
  if (batch === undefined) throw new Error('nothing to claim');
  await releaseChunks(pool, batch, { delayMs: -1, isCounted: true });
  const claimed = [];
  for (let turn = 0; turn < 3; turn += 1)
    claimed.push((await claimChunks(pool, 'one', { maxChunks: 4, maxRows: 100 }))?.map(({ chunk }) => chunk));
  expect(claimed).toEqual([[0], [1], [2, 3]]);
});

test('a lost run is started anew without its chunks, and its holder can add none', async () => {
  await addExports('acme', ['e1']);
  const first = await startRun(2);
  const reading = await claimChunk('reader');
  expect(await noteAllPlanned(pool, first)).toBe(true);
  await expireLeases();
  const second = await claim('two');
  expect(second).toMatchObject({ id: 'e1', runCount: 2 });
  expect(await noteAllPlanned(pool, first)).toBe(false);
  expect((await pool.query('select all_planned from exports')).rows).toEqual([{ all_planned: false }]);
  expect(second?.runAttempt).toBeGreaterThan(reading?.attempt ?? Number.POSITIVE_INFINITY);
  expect(await renewExport(pool, first)).toBe(false);
  expect(await readRunStatus(pool, first)).toEqual({ state: 'lost' });
  const planned = { resource: 'orders', chunk: 2, lowerKey: null, upperKey: null, rows: 1 };
  expect(await addChunks(pool, first, 'snapshot-1', [planned])).toBe(false);
  expect(reading && (await finishChunk(reading, 10))).toBe(false);
  expect(await claimChunk('reader')).toBeUndefined();
});

test('a run that is read and sealed is not started anew when its holder dies', async () => {
  await addExports('acme', ['e1']);
  const run = await startRun(1);
  const chunk = await claimChunk('reader');
  if (chunk !== undefined) await finishChunk(chunk, 10);
  await finishPlanning(pool, run);
  await pool.query("update exports set sealed_lsn = '0/3'");
  await expireLeases();
  expect(await claim('two')).toBeUndefined();
});

test('an export whose holders keep dying is given up', async () => {
  await addExports('acme', ['e1']);
  for (let run = 1; run <= LIMITS.maxRuns; run += 1) {
    expect((await claim())?.runCount).toBe(run);
    await expireLeases();
  }
  expect(await claim()).toBeUndefined();
  expect(await statusOf('e1')).toMatchObject({ status: 'failed', error: { code: 'attempts_exhausted' } });
});

test('a run whose process died lets the next one wait no longer, and a chunk that is read ends the waiting', async () => {
  await addExports('acme', ['e1']);
  await startChunked(1);
  await expireLeases();
  await claim();
  await expireLeases();
  const third = await claim();
  expect(third).toMatchObject({ runCount: 3, failedRuns: 0 });
  if (third === undefined) throw new Error('nothing to claim');
  await releaseExport(pool, third, { delayMs: -1, isCounted: false, isFailed: true });
  expect(await claim()).toMatchObject({ runCount: 3, failedRuns: 1 });
  const chunk = await claimChunk('reader');
  expect(chunk && (await finishChunk(chunk, 10))).toBe(true);
  await expireLeases();
  expect(await claim()).toMatchObject({ runCount: 2, failedRuns: 0 });
});

test('stopping in good order costs an export no try', async () => {
  await addExports('acme', ['e1']);
  for (let turn = 0; turn < 7; turn += 1) {
    const run = await claim();
    expect(run?.runCount).toBe(1);
    if (run !== undefined) await releaseExport(pool, run, { delayMs: -1, isCounted: false });
  }
});

test('an export ends as failed once, and never after it has ended or is being cancelled', async () => {
  await addExports('acme', ['e1', 'e2']);
  const [first, second] = [await claim(), await claim()];
  if (first === undefined || second === undefined) throw new Error('nothing to claim');
  const failure = { code: 'table_changed', message: 'changed' };
  expect(await failExport(pool, 'e1', first.runAttempt, failure)).toBe(true);
  expect(await failExport(pool, 'e1', first.runAttempt, failure)).toBe(false);
  await pool.query("/* arranged */ update exports set status = 'cancelling' where id = 'e2'");
  expect(await failExport(pool, 'e2', second.runAttempt, failure)).toBe(false);
  const { rows } = await pool.query("select key, payload from outbox where type = 'JobFailed'");
  expect(rows).toEqual([{ key: 'e1', payload: { job_id: 'e1', kind: 'export', ...failure } }]);
});

test('a cancelling export ends once neither its holder nor a reader holds it', async () => {
  await addExports('acme', ['e1']);
  const run = await startRun(1);
  const chunk = await claimChunk('reader');
  await pool.query("/* arranged */ update exports set status = 'cancelling'");
  expect(await readRunStatus(pool, run)).toEqual({ state: 'cancelling' });
  expect(await endCancelledExports(pool)).toEqual([]);
  await releaseExport(pool, run, { delayMs: 0, isCounted: true });
  expect(await endCancelledExports(pool)).toEqual([]);
  expect(chunk && (await renewChunk(chunk, 1))).toBe(false);
  if (chunk !== undefined) await releaseChunk(chunk, { delayMs: 0, isCounted: false });
  const ended = await Promise.all([endCancelledExports(pool), endCancelledExports(pool)]);
  expect(ended.flat()).toEqual(['e1']);
  expect(await statusOf('e1')).toMatchObject({ status: 'cancelled', phase: 'done' });
});

/** A chunked export, most of whose rows are not read. */
async function startChunked(chunkCount: number): Promise<ClaimedExport> {
  const run = await startRun(chunkCount, null);
  await pool.query(
    `update exports set snapshot_kind = 'chunked', read_since = jsonb_build_object('taken_at', now())
     where status = 'running'`,
  );
  return run;
}

const RETENTION_DAYS = 30;
const pause = (id = 'e1', days = RETENTION_DAYS) =>
  inTransaction(pool, (db) => pauseExport(db, null, id, days));
const resume = (id = 'e1') => inTransaction(pool, (db) => resumeExport(db, null, id));

async function claimOne(owner: string): Promise<ClaimedChunk> {
  const chunk = await claimChunk(owner);
  if (chunk === undefined) throw new Error('nothing to claim');
  return chunk;
}

test('a paused export keeps the chunks that it has read and no other, and goes on with them at its turn', async () => {
  await addExports('acme', ['e1']);
  const run = await startChunked(3);
  const read = await claimOne('one');
  await finishChunk(read, 10);
  const inHand = await claimOne('one');
  expect(await pause()).toEqual({ status: 'paused' });
  expect(await pause()).toEqual({ status: 'paused' });
  expect(await statusOf('e1')).toMatchObject({ status: 'paused', phase: 'queued', rows_extracted: '10' });
  // Neither the holder nor a reader can do anything more, and nobody claims it.
  expect(await renewExport(pool, run)).toBe(false);
  expect(await readRunStatus(pool, run)).toEqual({ state: 'lost' });
  expect(await renewChunk(inHand, 5)).toBe(false);
  expect(await finishChunk(inHand, 10)).toBe(false);
  expect(await releaseChunk(inHand, { delayMs: 0, isCounted: true })).toBe(false);
  expect(await failExport(pool, 'e1', run.runAttempt, { code: 'x', message: 'x' })).toBe(false);
  expect(await claimChunk('two')).toBeUndefined();
  expect(await claim('two')).toBeUndefined();
  // The writer still writes what was read, and lets go of what was not.
  expect((await findOpenChunks(pool, [read, inHand])).map((found) => found !== undefined)).toEqual([
    true,
    false,
  ]);
  expect(await findCurrentChunks(pool, [read, inHand])).toEqual([
    { isCurrent: true, isExtracted: true },
    { isCurrent: false, isExtracted: false },
  ]);
  expect(await resume()).toBe('pending');
  expect(await resume()).toBe('pending');
  const part = { path: 'part', rows: 10, bytes: 100, schemaId: 1 };
  expect(
    await recordChunksWritten(pool, [
      { chunkAttempt: read, part },
      { chunkAttempt: inHand, part: { ...part, path: 'other part' } },
    ]),
  ).toEqual([true, false]);
  expect(await claim('two')).toMatchObject({ id: 'e1', runCount: 1 });
  // Rows of it may come late: the writer has passed over those that came during the pause.
  expect(await findOpenChunks(pool, [inHand])).toEqual([undefined]);
  expect(await finishChunk(inHand, 10)).toBe(false);
  const again = [await claimOne('two'), await claimOne('two')];
  expect(again.map(({ chunk, tries }) => ({ chunk, tries }))).toEqual([
    { chunk: 1, tries: 1 },
    { chunk: 2, tries: 1 },
  ]);
  const { rows } = await pool.query('select attempt, rows_written from export_chunks where chunk = 0');
  expect(rows).toEqual([{ attempt: read.attempt, rows_written: '10' }]);
});

test('a pause and the end of a chunk at once leave the chunk read or not begun', async () => {
  for (let round = 0; round < 20; round += 1) {
    await pool.query('truncate accounts, exports, outbox cascade');
    await addExports('acme', ['e1']);
    await startChunked(2);
    const chunk = await claimOne('one');
    const [outcome, isFinished] = await Promise.all([pause(), finishChunk(chunk, 10), renewChunk(chunk, 3)]);
    expect(outcome).toEqual({ status: 'paused' });
    const { rows } = await pool.query<{ state: string }>('select state from export_chunks where chunk = 0');
    expect(rows[0]?.state).toBe(isFinished ? 'extracted' : 'planned');
  }
});

test('what an export is paused for, and what it waits for before its next run, is no part of its time', async () => {
  await addExports('acme', ['e1']);
  await pause();
  await resume();
  await startChunked(1);
  const pausedMs = async () =>
    Number((await pool.query<{ paused_ms: string }>('select paused_ms from exports')).rows[0]?.paused_ms);
  expect(await pausedMs()).toBe(0);
  await pause();
  await pool.query("update exports set paused_at = now() - interval '1 hour'");
  await resume();
  await pause();
  await resume();
  await claim('two');
  expect(await pausedMs()).toBeGreaterThanOrEqual(3_600_000);
});

test('only what can go on is paused: not under a single snapshot, nor when all rows are read, nor once it has ended', async () => {
  await addExports('acme', ['e1', 'e2']);
  // Before its snapshot there is nothing to lose.
  const waiting = await claim();
  expect(waiting?.id).toBe('e1');
  expect(await pause()).toEqual({ status: 'paused' });
  await resume();
  await startRun(1);
  expect(await pause()).toEqual({ status: 'running', refusal: 'one_snapshot' });
  await pool.query("update exports set snapshot_kind = 'chunked', planned_at = now() where id = 'e1'");
  expect(await pause()).toEqual({ status: 'running', refusal: 'read' });
  await inTransaction(pool, (db) => cancelExport(db, null, 'e1'));
  expect(await pause()).toEqual({ status: 'cancelling' });
  expect(await resume()).toBe('cancelling');
  expect(await pause('e2')).toEqual({ status: 'paused' });
  expect(await inTransaction(pool, (db) => cancelExport(db, null, 'e2'))).toBe('cancelled');
  expect(await resume('e2')).toBe('cancelled');
  expect(await pause('unknown')).toBeUndefined();
  expect(await resume('unknown')).toBeUndefined();
});

test('a pause ends before the events are gone that the export needs', async () => {
  await addExports('acme', ['e1', 'e2']);
  const daysLeft = async (id: string) => {
    const { rows } = await pool.query<{ days: number }>(
      'select extract(epoch from pause_expires_at - now())::float8 / 86400 as days from exports where id = $1',
      [id],
    );
    return rows[0]?.days;
  };
  await startChunked(1);
  await pool.query(
    `update exports set read_since = jsonb_build_object('taken_at', now() - interval '1 day') where id = 'e1'`,
  );
  expect(await pause('e1', 1)).toEqual({ status: 'running', refusal: 'too_old' });
  expect(await pause('e1', 4)).toEqual({ status: 'paused' });
  expect(await daysLeft('e1')).toBeCloseTo(2, 1);
  expect(await pause('e2', 1)).toEqual({ status: 'paused' });
  expect(await daysLeft('e2')).toBeCloseTo(7, 1);
});

test('rows of a paused export that can not be written fail it', async () => {
  await addExports('acme', ['e1']);
  await startChunked(2);
  const read = await claimOne('one');
  await finishChunk(read, 10);
  await pause();
  expect(await failByChunk(pool, read, { code: 'row_unreadable', message: 'x' })).toBe(true);
  expect(await statusOf('e1')).toMatchObject({ status: 'failed', error: { code: 'row_unreadable' } });
});

test('changed records that take too long to collect are a reason to read under one snapshot', async () => {
  await addExports('one', ['exp_1']);
  const run = await startRun(0);
  const holder = await pool.connect();
  try {
    await holder.query('begin; lock table export_keys in access exclusive mode');
    const collected = collectChanged(pool, run, '5:9:7', 'orders').catch((error: unknown) => error);
    await waitFor('the statement to be cancelled', async () => {
      const { rows } = await pool.query<{ is_cancelled: boolean }>(
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
