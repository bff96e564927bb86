import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { rename, rm, writeFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MAX_ASSEMBLY_ATTEMPTS } from '../../../services/writer/files/classify-assembly-error.ts';
import { waitFor } from '../../support/wait-for.ts';
import {
  chunkRows,
  createWriterFixture,
  expectedContent,
  type WriterFixture,
} from '../../support/writer-fixture.ts';

let fixture: WriterFixture;

beforeEach(async () => {
  fixture = await createWriterFixture();
});

afterEach(() => fixture?.[Symbol.asyncDispose]());

/** The export is published, and its one file has exactly the rows of these chunks. */
async function expectPublished(exportId: string, chunks: readonly number[]): Promise<void> {
  const { status, files, error } = await fixture.ended(exportId);
  expect({ status, error }).toEqual({ status: 'completed', error: null });
  const [file] = files ?? [];
  if (file === undefined) throw new Error('no file');
  const content = await fixture.fileContent(file);
  expect(content.toString()).toBe(expectedContent(chunks));
  expect(file).toMatchObject({
    name: 'orders.jsonl',
    rows: chunks.reduce((sum, rows) => sum + rows, 0),
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
  });
  await waitFor(
    'the parts to be removed',
    async () => (await fixture.storage.listNames('parts')).length === 0,
  );
}

test('chunks of several resources, in any order and mixed, become one file for each', async () => {
  const { addExport, produce, finishReading, startWriter, ended, fileContent, outbox, storage } = fixture;
  await startWriter();
  const exportId = await addExport({ orders: [700, 300, 500], lines: [20], nothing: [] });
  const [first, second, third] = [700, 300, 500].map((rows, chunk) => chunkRows(exportId, chunk, rows));
  await produce([
    ...(third ?? []),
    ...chunkRows(exportId, 0, 20, { resource: 'lines' }),
    ...(first ?? []).slice(0, 400),
  ]);
  await produce([...(second ?? []), ...(first ?? []).slice(400)]);
  await finishReading(exportId);
  const { status, files, rows_written: rowsWritten, expires_at: expiresAt } = await ended(exportId);
  expect(status).toBe('completed');
  expect(rowsWritten).toBe('1520');
  expect(Number(expiresAt)).toBeGreaterThan(Date.now() + 89 * 86_400_000);
  expect(files?.map(({ name, rows }) => [name, rows])).toEqual([
    ['orders.jsonl', 1500],
    ['lines.jsonl', 20],
    ['nothing.jsonl', 0],
  ]);
  const contents = await Promise.all((files ?? []).map(async (file) => (await fileContent(file)).toString()));
  expect(contents).toEqual([expectedContent([700, 300, 500]), expectedContent([20]), '']);
  expect(await outbox(exportId)).toEqual(['JobCompleted']);
  expect(await storage.stat(`exports/${exportId}/manifest.json`)).toBeDefined();
  await waitFor('the parts to be removed', async () => (await storage.listNames('parts')).length === 0);
});

test('an export without rows completes with an empty file, compressed if asked', async () => {
  const { addExport, finishReading, startWriter, ended, fileContent } = fixture;
  await startWriter();
  const exportId = await addExport({ orders: [] }, { compression: 'gzip' });
  await finishReading(exportId);
  const { status, files } = await ended(exportId);
  expect(status).toBe('completed');
  expect(files).toMatchObject([{ name: 'orders.jsonl.gz', rows: 0 }]);
  for (const file of files ?? []) expect(gunzipSync(await fileContent(file))).toHaveLength(0);
});

test('an export of an unknown format is left to a newer writer', async () => {
  const { addExport, finishReading, startWriter, ended, db } = fixture;
  await startWriter();
  const exportId = await addExport({ orders: [] }, { format: 'of a later version' });
  await finishReading(exportId);
  const left = await waitFor('the export to be left', async () => {
    const { rows } = await db.query(
      `select status, assembly_lease_expires_at > now() + interval '50 seconds' as is_left
       from exports where id = $1 and (status <> 'running' or assembly_owner is null and assembly_count > 0)`,
      [exportId],
    );
    return rows[0];
  });
  expect(left).toEqual({ status: 'running', is_left: true });
  // What the newer writer knows.
  await db.query(
    `/* arranged */ update exports set request = request || '{"format": "jsonl"}', assembly_lease_expires_at = now()
     where id = $1`,
    [exportId],
  );
  expect((await ended(exportId)).status).toBe('completed');
});

test('an assembly that was attempted too often is not attempted again, since it may kill its writer', async () => {
  const { addExport, finishReading, startWriter, ended, db, storage } = fixture;
  const exportId = await addExport({ orders: [] });
  // As if the writers of all attempts had been killed.
  await db.query(
    `update exports set assembly_count = $2, assembly_owner = 'killed', assembly_lease_expires_at = now() where id = $1`,
    [exportId, MAX_ASSEMBLY_ATTEMPTS],
  );
  await startWriter();
  await finishReading(exportId);
  expect(await ended(exportId)).toMatchObject({ status: 'failed', error: { code: 'assembly_failed' } });
  expect(await storage.stat(`exports/${exportId}/orders.jsonl`)).toBeUndefined();
});

test('rows that come twice and rows of an earlier try are not in the file', async () => {
  const { addExport, produce, finishReading, startWriter, db } = fixture;
  await startWriter();
  const exportId = await addExport({ orders: [500, 400] });
  const stale = chunkRows(exportId, 0, 500);
  await produce([...stale.slice(0, 300), ...stale.slice(100, 350)]);
  await waitFor(
    'the first try to be open',
    async () => (await fixture.storage.listNames('parts')).length > 0,
  );
  await db.query('update export_chunks set attempt = 2 where export_id = $1 and chunk = 0', [exportId]);
  const fresh = chunkRows(exportId, 0, 500, { attempt: 2 });
  const mixed = fresh.flatMap((row, seq) => (seq >= 350 ? [row, stale[seq] ?? row] : [row, row]));
  await produce([...mixed, ...chunkRows(exportId, 1, 400), ...stale, ...fresh]);
  await finishReading(exportId);
  await expectPublished(exportId, [500, 400]);
});

test('a row dropped from the middle fails the export with row_count_mismatch', async () => {
  const { addExport, produce, finishReading, startWriter, ended, outbox, storage } = fixture;
  await startWriter();
  const exportId = await addExport({ orders: [100, 100] });
  await produce([
    ...chunkRows(exportId, 0, 100),
    ...chunkRows(exportId, 1, 100).filter(({ seq }) => seq !== 50),
  ]);
  await finishReading(exportId);
  const { status, error, files } = await ended(exportId);
  expect({ status, code: error?.code, files }).toEqual({
    status: 'failed',
    code: 'row_count_mismatch',
    files: null,
  });
  expect(await outbox(exportId)).toEqual(['JobFailed']);
  await waitFor('the parts to be removed', async () => (await storage.listNames('parts')).length === 0);
});

test('a last row that never comes fails the export, and later ones go on', async () => {
  const { addExport, produce, finishReading, startWriter, ended } = fixture;
  await startWriter();
  const exportId = await addExport({ orders: [100] });
  await produce(chunkRows(exportId, 0, 100).slice(0, 99));
  await finishReading(exportId);
  expect(await ended(exportId)).toMatchObject({ status: 'failed', error: { code: 'row_count_mismatch' } });
  const next = await addExport({ orders: [10] });
  await produce(chunkRows(next, 0, 10));
  await finishReading(next);
  await expectPublished(next, [10]);
});

test('a chunk of which no row comes fails the export', async () => {
  const { addExport, produce, finishReading, startWriter, ended } = fixture;
  await startWriter();
  const exportId = await addExport({ orders: [100, 1] });
  await produce(chunkRows(exportId, 0, 100));
  await finishReading(exportId);
  expect(await ended(exportId)).toMatchObject({ status: 'failed', error: { code: 'row_count_mismatch' } });
});

test('rows that are deleted before a writer reads them, or with their topic, fail the export, though none comes after them', async () => {
  const { addExport, produce, finishReading, startWriter, ended, loseRows } = fixture;
  const before = await addExport({ orders: [100] });
  await produce(chunkRows(before, 0, 100));
  await finishReading(before);
  await loseRows('orders', 'deleted');
  const stop = await startWriter();
  expect(await ended(before)).toMatchObject({ status: 'failed', error: { code: 'row_count_mismatch' } });
  await stop();

  const remade = await addExport({ orders: [100] });
  await produce(chunkRows(remade, 0, 100));
  await finishReading(remade);
  await loseRows('orders', 'made again');
  await startWriter();
  expect(await ended(remade)).toMatchObject({ status: 'failed', error: { code: 'row_count_mismatch' } });
  const next = await addExport({ orders: [10] });
  await produce(chunkRows(next, 0, 10));
  await finishReading(next);
  await expectPublished(next, [10]);
});

test('the parts of a cancelled export are removed, those of others stay', async () => {
  const { addExport, produce, finishReading, startWriter, db, storage } = fixture;
  await startWriter();
  const [cancelled, other] = [await addExport({ orders: [200, 200] }), await addExport({ orders: [200] })];
  await produce([
    ...chunkRows(cancelled, 0, 200),
    ...chunkRows(cancelled, 1, 200).slice(0, 100),
    ...chunkRows(other, 0, 200).slice(0, 150),
  ]);
  await waitFor('both to have parts', async () => (await storage.listNames('parts')).length === 2);
  await db.query(`/* arranged */ update exports set status = 'cancelled' where id = $1`, [cancelled]);
  await waitFor('one to have parts', async () => (await storage.listNames('parts')).join() === other);
  await produce([...chunkRows(cancelled, 1, 200).slice(100), ...chunkRows(other, 0, 200).slice(150)]);
  await finishReading(other);
  await expectPublished(other, [200]);
  expect(await fixture.partPaths(cancelled)).toEqual([]);
});

test('cancelling while an export is put together ends in one state, and only a completed one has files', async () => {
  const { addExport, produce, finishReading, startWriter, db, read, storage } = fixture;
  await startWriter();
  for (let round = 0; round < 8; round += 1) {
    const exportId = await addExport({ orders: [50] });
    await produce(chunkRows(exportId, 0, 50));
    await waitFor('the part to be noted', async () => (await read(exportId)).rows_written === '50');
    await finishReading(exportId);
    // A different moment of the assembly in each round, by how many looks at the row come first.
    for (let look = 0; look < round; look += 1) await read(exportId);
    const { rowCount } = await db.query(
      `/* arranged */ update exports set status = 'cancelled' where id = $1 and status = 'running'`,
      [exportId],
    );
    await waitFor(
      'the parts to be removed',
      async () => !(await storage.listNames('parts')).includes(exportId),
    );
    const { status, files } = await read(exportId);
    expect(status).toBe(rowCount === 1 ? 'cancelled' : 'completed');
    expect(files === null).toBe(status === 'cancelled');
    expect((await storage.listNames(`exports/${exportId}`)).length > 0).toBe(status === 'completed');
  }
});

test('a writer killed after the sync of a part and before it is noted is taken over', async () => {
  const { addExport, produce, finishReading, spawnWriter, removeWriters, db, partPaths } = fixture;
  const exportId = await addExport({ orders: [300] });
  const blocker = await db.connect();
  await blocker.query('begin');
  await blocker.query('select from export_chunks where export_id = $1 for update', [exportId]);
  const first = spawnWriter();
  await produce(chunkRows(exportId, 0, 300));
  await waitFor('the part to be synced', async () => (await partPaths(exportId)).length === 1);
  first.kill('SIGKILL');
  await once(first, 'exit');
  await removeWriters();
  await blocker.query('rollback');
  blocker.release();
  await finishReading(exportId);
  spawnWriter();
  await expectPublished(exportId, [300]);
});

test('a writer killed after its files are written and before they are published is taken over', async () => {
  const { addExport, produce, finishReading, spawnWriter, db, read, storage } = fixture;
  const exportId = await addExport({ orders: [300, 200] });
  const blocker = await db.connect();
  await blocker.query('begin');
  await blocker.query('lock table outbox in exclusive mode');
  const first = spawnWriter();
  await produce([...chunkRows(exportId, 0, 300), ...chunkRows(exportId, 1, 200)]);
  await finishReading(exportId);
  await waitFor('the manifest', () => storage.stat(`exports/${exportId}/manifest.json`));
  first.kill('SIGKILL');
  await once(first, 'exit');
  expect(await read(exportId)).toMatchObject({ status: 'running', files: null });
  await blocker.query('rollback');
  blocker.release();
  spawnWriter();
  await expectPublished(exportId, [300, 200]);
});

test('a writer whose storage breaks ends, and the next one reads the rows again', async () => {
  const { addExport, produce, finishReading, spawnWriter, storageRoot } = fixture;
  // A writer that has published something has opened its storage; one that breaks earlier could not start at all.
  const earlierId = await addExport({ orders: [10] });
  const ended = once(spawnWriter(), 'exit');
  await produce(chunkRows(earlierId, 0, 10));
  await finishReading(earlierId);
  await expectPublished(earlierId, [10]);
  const exportId = await addExport({ orders: [300] });
  await rename(storageRoot, `${storageRoot}.away`);
  await writeFile(storageRoot, 'not a directory');
  await produce(chunkRows(exportId, 0, 300));
  expect(await ended).toEqual([1, null]);
  await rename(`${storageRoot}.away`, storageRoot).catch(() => undefined);
  await rm(storageRoot, { recursive: true });
  spawnWriter();
  await finishReading(exportId);
  await expectPublished(exportId, [300]);
});

test('a writer killed at any moment, again and again, leaves no row out and none twice', async () => {
  const { addExport, produce, finishReading, spawnWriter, removeWriters, read } = fixture;
  const sizes = Array.from({ length: 16 }, (_, chunk) => 400 + chunk);
  const exportId = await addExport({ orders: sizes });
  let writer = spawnWriter();
  // Killed after it has written a little more each time: mid-chunk, mid-sync, mid-commit, wherever it is then.
  for (let round = 0; round < 4; round += 1) {
    const before = Number((await read(exportId)).rows_written);
    await produce(
      sizes
        .slice(round * 4, round * 4 + 4)
        .flatMap((rowCount, index) => chunkRows(exportId, round * 4 + index, rowCount)),
    );
    await waitFor('some progress', async () => Number((await read(exportId)).rows_written) > before);
    writer.kill('SIGKILL');
    await once(writer, 'exit');
    // Once the broker finds out by itself.
    if (round > 0) await removeWriters();
    writer = spawnWriter();
  }
  await finishReading(exportId);
  await expectPublished(exportId, sizes);
});

test('writers that come and go share the work', async () => {
  const { addExport, produce, finishReading, startWriter, db } = fixture;
  const sizes = Array.from({ length: 18 }, () => 300);
  const exportId = await addExport({ orders: sizes });
  const all = sizes.map((rowCount, chunk) => chunkRows(exportId, chunk, rowCount));
  const stopFirst = await startWriter();
  await produce(all.flatMap((rows) => rows.slice(0, 100)));
  await startWriter();
  await produce(all.slice(0, 9).flatMap((rows) => rows.slice(100)));
  await stopFirst();
  await startWriter();
  await produce(all.slice(9).flatMap((rows) => rows.slice(100)));
  await finishReading(exportId);
  await expectPublished(exportId, sizes);
  const { rows } = await db.query('select from export_chunks where export_id = $1 and rows_written is null', [
    exportId,
  ]);
  expect(rows).toEqual([]);
});
