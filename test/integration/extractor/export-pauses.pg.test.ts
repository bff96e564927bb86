import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  findCurrentChunks,
  findOpenChunks,
  recordChunksWritten,
} from '../../../shared/control/chunks/chunk-attempts.ts';
import { cancelExport, failByChunk, failExport } from '../../../shared/control/exports/end-export.ts';
import { readRunStatuses, renewExport } from '../../../shared/control/exports/export-run.ts';
import { pauseExport, resumeExport } from '../../../shared/control/exports/pause-export.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { type ExportStore, openExportStore } from '../../support/export-store.ts';

let store: ExportStore;
beforeAll(async () => {
  store = await openExportStore();
});
beforeEach(() => store.empty());
afterAll(() => store?.[Symbol.asyncDispose]());

const RETENTION_DAYS = 30;
const pause = (id = 'e1', days = RETENTION_DAYS) =>
  inTransaction(store.pool, (db) => pauseExport(db, null, id, days));
const resume = (id = 'e1') => inTransaction(store.pool, (db) => resumeExport(db, null, id));

test('a paused export keeps the chunks that it has read and no other, and goes on with them at its turn', async () => {
  await store.addExports('acme', ['e1']);
  const run = await store.startChunked(3);
  const read = await store.claimOne('one');
  await store.finishChunk(read, 10);
  const inHand = await store.claimOne('one');
  expect(await pause()).toEqual({ status: 'paused' });
  expect(await pause()).toEqual({ status: 'paused' });
  expect(await store.statusOf('e1')).toMatchObject({
    status: 'paused',
    phase: 'queued',
    rows_extracted: '10',
  });
  // Neither the holder nor a reader can do anything more, and nobody claims it.
  expect(await renewExport(store.pool, run)).toBe(false);
  expect((await readRunStatuses(store.pool, [run]))[0]).toEqual({ state: 'lost' });
  expect(await store.renewChunk(inHand, 5)).toBe(false);
  expect(await store.finishChunk(inHand, 10)).toBe(false);
  expect(await store.releaseChunk(inHand, { delayMs: 0, ending: 'unexplained' })).toBe(false);
  expect(await failExport(store.pool, 'e1', run.runAttempt, { code: 'x', message: 'x' })).toBe(false);
  expect(await store.claimChunk('two')).toBeUndefined();
  expect(await store.claim('two')).toBeUndefined();
  // The writer still writes what was read, and lets go of what was not.
  expect((await findOpenChunks(store.pool, [read, inHand])).map((found) => found !== undefined)).toEqual([
    true,
    false,
  ]);
  expect(await findCurrentChunks(store.pool, [read, inHand])).toEqual([
    { isCurrent: true, isExtracted: true },
    { isCurrent: false, isExtracted: false },
  ]);
  expect(await resume()).toBe('pending');
  expect(await resume()).toBe('pending');
  const part = { path: 'part', rows: 10, bytes: 100, schemaId: 1 };
  expect(
    await recordChunksWritten(store.pool, [
      { chunkAttempt: read, part },
      { chunkAttempt: inHand, part: { ...part, path: 'other part' } },
    ]),
  ).toEqual([true, false]);
  expect(await store.claim('two')).toMatchObject({ id: 'e1', runCount: 1 });
  // Rows of it may come late: the writer has passed over those that came during the pause.
  expect(await findOpenChunks(store.pool, [inHand])).toEqual([undefined]);
  expect(await store.finishChunk(inHand, 10)).toBe(false);
  const again = [await store.claimOne('two'), await store.claimOne('two')];
  expect(again.map(({ chunk, tries }) => ({ chunk, tries }))).toEqual([
    { chunk: 1, tries: 1 },
    { chunk: 2, tries: 1 },
  ]);
  const { rows } = await store.pool.query('select attempt, rows_written from export_chunks where chunk = 0');
  expect(rows).toEqual([{ attempt: read.attempt, rows_written: '10' }]);
});

test('a pause and the end of a chunk at once leave the chunk read or not begun', async () => {
  for (let round = 0; round < 20; round += 1) {
    await store.empty();
    await store.addExports('acme', ['e1']);
    await store.startChunked(2);
    const chunk = await store.claimOne('one');
    const [outcome, isFinished] = await Promise.all([
      pause(),
      store.finishChunk(chunk, 10),
      store.renewChunk(chunk, 3),
    ]);
    expect(outcome).toEqual({ status: 'paused' });
    const { rows } = await store.pool.query<{ state: string }>(
      'select state from export_chunks where chunk = 0',
    );
    expect(rows[0]?.state).toBe(isFinished ? 'extracted' : 'planned');
  }
});

test('what an export is paused for, and what it waits for before its next run, is no part of its time', async () => {
  await store.addExports('acme', ['e1']);
  await pause();
  await resume();
  await store.startChunked(1);
  const pausedMs = async () =>
    Number(
      (await store.pool.query<{ paused_ms: string }>('select paused_ms from exports')).rows[0]?.paused_ms,
    );
  expect(await pausedMs()).toBe(0);
  await pause();
  await store.pool.query("update exports set paused_at = now() - interval '1 hour'");
  await resume();
  await pause();
  await resume();
  await store.claim('two');
  expect(await pausedMs()).toBeGreaterThanOrEqual(3_600_000);
});

test('only what can go on is paused: not under a single snapshot, nor when all rows are read, nor once it has ended', async () => {
  await store.addExports('acme', ['e1', 'e2']);
  // Before its snapshot there is nothing to lose.
  const waiting = await store.claim();
  expect(waiting?.id).toBe('e1');
  expect(await pause()).toEqual({ status: 'paused' });
  await resume();
  await store.startRun(1);
  expect(await pause()).toEqual({ status: 'running', refusal: 'one_snapshot' });
  await store.pool.query("update exports set snapshot_kind = 'chunked', planned_at = now() where id = 'e1'");
  expect(await pause()).toEqual({ status: 'running', refusal: 'read' });
  await inTransaction(store.pool, (db) => cancelExport(db, null, 'e1'));
  expect(await pause()).toEqual({ status: 'cancelling' });
  expect(await resume()).toBe('cancelling');
  expect(await pause('e2')).toEqual({ status: 'paused' });
  expect(await inTransaction(store.pool, (db) => cancelExport(db, null, 'e2'))).toBe('cancelled');
  expect(await resume('e2')).toBe('cancelled');
  expect(await pause('unknown')).toBeUndefined();
  expect(await resume('unknown')).toBeUndefined();
});

test('a pause ends before the events are gone that the export needs', async () => {
  await store.addExports('acme', ['e1', 'e2']);
  const daysLeft = async (id: string) => {
    const { rows } = await store.pool.query<{ days: number }>(
      'select extract(epoch from pause_expires_at - now())::float8 / 86400 as days from exports where id = $1',
      [id],
    );
    return rows[0]?.days;
  };
  await store.startChunked(1);
  await store.pool.query(
    `update exports set read_since = jsonb_build_object('taken_at', now() - interval '1 day') where id = 'e1'`,
  );
  expect(await pause('e1', 1)).toEqual({ status: 'running', refusal: 'too_old' });
  expect(await pause('e1', 4)).toEqual({ status: 'paused' });
  expect(await daysLeft('e1')).toBeCloseTo(2, 1);
  expect(await pause('e2', 1)).toEqual({ status: 'paused' });
  expect(await daysLeft('e2')).toBeCloseTo(7, 1);
});

test('rows of a paused export that can not be written fail it', async () => {
  await store.addExports('acme', ['e1']);
  await store.startChunked(2);
  const read = await store.claimOne('one');
  await store.finishChunk(read, 10);
  await pause();
  expect(await failByChunk(store.pool, read, { code: 'row_unreadable', message: 'x' })).toBe(true);
  expect(await store.statusOf('e1')).toMatchObject({ status: 'failed', error: { code: 'row_unreadable' } });
});
