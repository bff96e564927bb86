import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { findOpenChunks, recordChunksWritten } from '../../../shared/control/chunks/chunk-attempts.ts';
import { type ClaimedChunk, claimChunks, isSmallChunk } from '../../../shared/control/chunks/claim-chunk.ts';
import {
  endChunkedReading,
  finishChunks,
  releaseChunks,
  renewChunks,
} from '../../../shared/control/chunks/hold-chunks.ts';
import { addChunks, readRunStatuses } from '../../../shared/control/exports/export-run.ts';
import { type ExportStore, openExportStore } from '../../support/export-store.ts';

let store: ExportStore;
beforeAll(async () => {
  store = await openExportStore();
});
beforeEach(() => store.empty());
afterAll(() => store?.[Symbol.asyncDispose]());

const TEN_ROWS = { rows: 10, recordKeys: null, readLsn: null, seen: null };

test('extractors that claim at once never get the same chunk, and each try has its own number', async () => {
  await store.addExports('acme', ['e1']);
  await store.startRun(12);
  const claimed = await Promise.all(Array.from({ length: 20 }, (_, index) => store.claimChunk(`o${index}`)));
  const tries = claimed.flatMap((one) => one ?? []);
  const rest = [];
  for (let one = await store.claimChunk('late'); one !== undefined; one = await store.claimChunk('late')) {
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
  await store.addExports('acme', ['e1', 'e2']);
  await store.startRun(3);
  await store.startRun(3);
  const claimed = [];
  for (let turn = 0; turn < 4; turn += 1) claimed.push((await store.claimChunk('one'))?.exportId);
  expect(claimed).toEqual(['e1', 'e2', 'e1', 'e2']);
});

test('an export with a limit of rows a second is read chunk by chunk', async () => {
  await store.addExports('acme', ['e1']);
  await store.pool.query(`update exports set request = '{"max_rows_per_second": 1000}'`);
  await store.startRun(2);
  const first = await store.claimChunk('one');
  expect(await store.claimChunk('two')).toBeUndefined();
  if (first === undefined) throw new Error('no chunk');
  await store.finishChunk(first, 10);
  expect(await store.claimChunk('two')).toMatchObject({ chunk: 1 });
});

test('a reader whose lease ran out can finish nothing, and progress never goes down', async () => {
  await store.addExports('acme', ['e1']);
  await store.startRun(1);
  const lost = await store.claimChunk('one');
  if (lost === undefined) throw new Error('no chunk');
  expect(await store.renewChunk(lost, 8)).toBe(true);
  await store.expireLeases();
  const again = await store.claimChunk('two');
  if (again === undefined) throw new Error('the lost chunk was not claimed');
  expect(again.attempt).toBeGreaterThan(lost.attempt);
  expect(again.tries).toBe(2);
  expect(await store.renewChunk(lost, 9)).toBe(false);
  expect(await store.finishChunk(lost, 10)).toBe(false);
  expect(await store.renewChunk(again, 1)).toBe(true);
  expect(await store.statusOf('e1')).toMatchObject({ rows_extracted: '8' });
  expect(await store.finishChunk(again, 10)).toBe(true);
  expect(await store.statusOf('e1')).toMatchObject({ rows_extracted: '10' });
});

test('a chunk that is given back counts by why it was', async () => {
  await store.addExports('acme', ['e1']);
  await store.startRun(1);
  const counts = [];
  for (const ending of ['let_go', 'outage', 'unexplained', 'setback', 'gave_way', 'let_go'] as const) {
    const chunk = await store.claimOne('one');
    counts.push([chunk.tries, chunk.setbackCount, chunk.gaveWayCount]);
    await store.releaseChunk(chunk, { delayMs: -1, ending });
  }
  expect(counts).toEqual([
    [1, 0, 0],
    [1, 0, 0],
    [1, 0, 0],
    [2, 0, 0],
    [2, 1, 0],
    [2, 1, 1],
  ]);
});

test('chunks finished at once are all in the sum', async () => {
  await store.addExports('acme', ['e1']);
  await store.startRun(10);
  const chunks = [];
  for (let turn = 0; turn < 10; turn += 1) chunks.push(await store.claimChunk('one'));
  await Promise.all(chunks.map((chunk) => chunk && store.finishChunk(chunk, 10)));
  expect(await store.statusOf('e1')).toMatchObject({ rows_extracted: '100' });
});

test.each([
  ['keeps', 'under one snapshot', 'snapshot-1'],
  ['loses', 'under a snapshot of its own', null],
])('a chunk that is read again %s the part of an earlier try %s', async (_, _how, snapshotName) => {
  await store.addExports('acme', ['e1']);
  await store.startRun(1, snapshotName);
  const first = await store.claimChunk('killed');
  if (first === undefined) throw new Error('nothing to claim');
  const recordPart = (chunkAttempt: ClaimedChunk) =>
    recordChunksWritten(store.pool, [
      { chunkAttempt, part: { path: `part-${chunkAttempt.attempt}`, rows: 10, bytes: 100, schemaId: 1 } },
    ]);
  // The writer is done with the part while its reader is still at other chunks.
  expect(await recordPart(first)).toEqual([true]);
  await store.expireLeases();
  const again = await store.claimChunk('two');
  if (again === undefined) throw new Error('nothing to claim');
  const isReadAnew = snapshotName === null;
  expect((await findOpenChunks(store.pool, [again]))[0] !== undefined).toBe(isReadAnew);
  expect(await recordPart(first)).toEqual([false]);
  expect(await recordPart(again)).toEqual([isReadAnew]);
  expect(await store.finishChunk(again, 10)).toBe(true);
  const { rows } = await store.pool.query(
    'select part_name, rows_written, written_at is not null as is_written from export_chunks',
  );
  const { attempt } = isReadAnew ? again : first;
  expect(rows).toEqual([{ part_name: `part-${attempt}`, rows_written: '10', is_written: true }]);
});

test('only the reader that has the chunk ends a chunked reading', async () => {
  await store.addExports('acme', ['e1']);
  const run = await store.startRun(1, null);
  await store.pool.query("update exports set snapshot_kind = 'chunked'");
  const late = await store.claimChunk('late');
  await store.expireLeases();
  const chunk = await store.claimChunk('two');
  if (late === undefined || chunk === undefined) throw new Error('nothing to claim');
  await endChunkedReading(store.pool, [late], 'a table was altered', 0);
  expect((await readRunStatuses(store.pool, [run]))[0]).toMatchObject({
    openChunkCount: 1,
    singleReason: null,
  });
  await endChunkedReading(store.pool, [chunk], 'a table was altered', 0);
  expect((await readRunStatuses(store.pool, [run]))[0]).toMatchObject({
    openChunkCount: 1,
    singleReason: 'a table was altered',
  });
});

test('chunks are read by the catalog that they were planned by, and left alone by readers with another', async () => {
  await store.addExports('acme', ['e1']);
  await store.startRun(1, 'snapshot-1', { orders: 'as planned' });
  const claimBy = (orders: string) =>
    claimChunks(store.pool, orders, { catalog: { orders, invoices: 'of no matter' } });
  expect(await claimBy('with another condition')).toBeUndefined();
  expect(await claimBy('as planned')).toMatchObject([{ exportId: 'e1', chunk: 0 }]);
});

test('a reader for small chunks leaves large ones alone, and parts of a resource', async () => {
  await store.addExports('acme', ['e1']);
  const run = await store.startRun(0);
  const whole = { chunk: 0, lowerKey: null, upperKey: null };
  await addChunks(store.pool, run, 'snapshot-1', [
    { resource: 'a', ...whole, upperKey: ['5'], rows: 5 },
    { resource: 'b', ...whole, rows: 5_001 },
    { resource: 'c', ...whole, rows: 5_000 },
  ]);
  const [chunk, ...others] = (await claimChunks(store.pool, 'one', { isSmallOnly: true })) ?? [];
  expect(chunk).toMatchObject({ resource: 'c' });
  expect(others).toEqual([]);
  expect(chunk && isSmallChunk(chunk)).toBe(true);
  expect(await claimChunks(store.pool, 'two', { isSmallOnly: true })).toBeUndefined();
  const next = await store.claimOne('two');
  expect(next).toMatchObject({ resource: 'a' });
  expect(isSmallChunk(next)).toBe(false);
});

test('small chunks are claimed together, within the limits, and end together', async () => {
  await store.addExports('acme', ['e1']);
  await store.startRun(6);
  const batch = await claimChunks(store.pool, 'one', { maxChunks: 4, maxRows: 35 });
  expect(batch?.map(({ chunk }) => chunk)).toEqual([0, 1, 2]);
  const rest = await claimChunks(store.pool, 'two', { maxChunks: 2, maxRows: 100 });
  expect(rest?.map(({ chunk }) => chunk)).toEqual([3, 4]);
  if (batch === undefined || rest === undefined) throw new Error('nothing to claim');
  expect(await renewChunks(store.pool, batch, [1, 2, 3])).toBe(true);
  expect(await store.statusOf('e1')).toMatchObject({ rows_extracted: '6' });
  await store.pool.query("update export_chunks set lease_owner = 'thief' where chunk = 1");
  expect(await finishChunks(store.pool, batch, Array(3).fill(TEN_ROWS))).toBe(false);
  expect(await finishChunks(store.pool, rest, Array(2).fill(TEN_ROWS))).toBe(true);
  const { rows } = await store.pool.query(
    "select chunk from export_chunks where state = 'extracted' order by 1",
  );
  expect(rows.map(({ chunk }) => chunk)).toEqual([3, 4]);
  expect(await store.statusOf('e1')).toMatchObject({ rows_extracted: '26' });
});

test.each(['unexplained', 'setback', 'gave_way'] as const)(
  'a chunk with an attempt that ended as %s is claimed alone',
  async (ending) => {
    await store.addExports('acme', ['e1']);
    await store.startRun(4);
    const batch = await claimChunks(store.pool, 'one', { maxChunks: 2, maxRows: 100 });
    if (batch === undefined) throw new Error('nothing to claim');
    await releaseChunks(store.pool, batch, { delayMs: -1, ending });
    const claimed = [];
    for (let turn = 0; turn < 3; turn += 1)
      claimed.push(
        (await claimChunks(store.pool, 'one', { maxChunks: 4, maxRows: 100 }))?.map(({ chunk }) => chunk),
      );
    expect(claimed).toEqual([[0], [1], [2, 3]]);
  },
);
