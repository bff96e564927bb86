import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ExportFile } from '../../../shared/control/exports/assembly.ts';
import { quoteLiteral } from '../../../shared/postgres/quote.ts';
import { queryDuckdb } from '../../support/duckdb-reader.ts';
import { findPython } from '../../support/python.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
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

const ORDERS = [700, 300];
const LINES = [20];

/** What the files have to hold, as JSON of each row. */
const ORDER_ROWS = rowsOf(expectedContent(ORDERS));
const LINE_ROWS = rowsOf(expectedContent(LINES));

function rowsOf(jsonl: string): { id: number; memo: string }[] {
  return jsonl
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

/** An export of two resources with rows and one without, all of it written by a writer of this process. */
async function publish(request: Record<string, unknown>): Promise<readonly ExportFile[]> {
  const { addExport, produce, finishReading, ended } = fixture;
  const exportId = await addExport({ orders: ORDERS, lines: LINES, nothing: [] }, request);
  await produce([
    ...ORDERS.flatMap((rowCount, chunk) => chunkRows(exportId, chunk, rowCount)),
    ...LINES.flatMap((rowCount, chunk) => chunkRows(exportId, chunk, rowCount, { resource: 'lines' })),
  ]);
  await finishReading(exportId);
  const { status, error, files } = await ended(exportId);
  expect({ status, error }).toEqual({ status: 'completed', error: null });
  return files ?? [];
}

async function download(file: ExportFile | undefined, directory: string): Promise<string> {
  if (file === undefined) throw new Error('no such file');
  const content = await fixture.fileContent(file);
  expect(createHash('sha256').update(content).digest('hex')).toBe(file.sha256);
  const path = join(directory, file.name);
  await writeFile(path, content);
  return path;
}

async function idsAndMemos(parquet: string) {
  const found = await queryDuckdb(`select id, memo from ${quoteLiteral(parquet)}`);
  return found.map(([id, memo]) => ({ id: Number(id), memo }));
}

const factsOf = (files: readonly ExportFile[]) => files.map(({ name, rows, sha256 }) => [name, rows, sha256]);

test('CSV and Parquet hold every row once in order of key, and twice the same bytes', async () => {
  await fixture.startWriter();
  await fixture.registerRows('nothing');
  const directory = temporaryDirectory();
  const csv = await publish({ format: 'csv', compression: 'zstd' });
  expect(csv.map(({ name, rows }) => [name, rows])).toEqual([
    ['orders.csv.zst', 1000],
    ['lines.csv.zst', 20],
    ['nothing.csv.zst', 0],
  ]);
  const [orders, , nothing] = await Promise.all(csv.map((file) => fixture.fileContent(file)));
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  expect(zstdDecompressSync(orders ?? Buffer.alloc(0)).toString()).toBe(
    `id,memo\r\n${ORDER_ROWS.map(({ id, memo }) => `${id},${quoted(memo)}\r\n`).join('')}`,
  );
  expect(zstdDecompressSync(nothing ?? Buffer.alloc(0)).toString()).toBe('id,memo\r\n');
  expect(factsOf(await publish({ format: 'csv', compression: 'zstd' }))).toEqual(factsOf(csv));

  const parquet = await publish({ format: 'parquet' });
  expect(parquet.map(({ name, rows }) => [name, rows])).toEqual([
    ['orders.parquet', 1000],
    ['lines.parquet', 20],
    ['nothing.parquet', 0],
  ]);
  expect(await idsAndMemos(await download(parquet[0], directory))).toEqual(ORDER_ROWS);
  expect(await idsAndMemos(await download(parquet[1], directory))).toEqual(LINE_ROWS);
  expect(await idsAndMemos(await download(parquet[2], directory))).toEqual([]);
  expect(factsOf(await publish({ format: 'parquet' }))).toEqual(factsOf(parquet));
  expect(await fixture.scratchExports()).toEqual([]);
});

test.each([
  { format: 'jsonl', compression: 'gzip', stored: true },
  { format: 'csv', compression: 'none', stored: false },
  { format: 'parquet', compression: 'none', stored: true },
])('a zip of $format files, compression $compression, is whole for another reader', async (request) => {
  const python = findPython();
  await fixture.startWriter();
  await fixture.registerRows('nothing');
  const { stored: isStored, ...asked } = request;
  const files = await publish({ ...asked, archive: 'zip' });
  expect(files).toMatchObject([{ name: 'export.zip', resource: null, rows: 1020 }]);
  const members = files[0]?.members ?? [];
  expect(members.map(({ resource, rows }) => [resource, rows])).toEqual([
    ['orders', 1000],
    ['lines', 20],
    ['nothing', 0],
  ]);
  expect(factsOf(await publish({ ...asked, archive: 'zip' }))).toEqual(factsOf(files));
  if (python === undefined) return;

  const directory = temporaryDirectory();
  const unpacked = join(directory, 'unpacked');
  await mkdir(unpacked);
  const found = await python.read('read_zip.py', await download(files[0], directory), unpacked);
  expect(found).toEqual([
    ...members.map(({ name, bytes, sha256 }) => ({ name, bytes, sha256, stored: isStored })),
    { name: 'manifest.json', bytes: expect.any(Number), sha256: expect.any(String), stored: false },
  ]);
  const manifest = JSON.parse(await readFile(join(unpacked, 'manifest.json'), 'utf8'));
  expect(manifest).toMatchObject({ format: request.format, rows: 1020, files: members });
  const orders = join(unpacked, members[0]?.name ?? '');
  if (request.format === 'parquet') expect(await idsAndMemos(orders)).toEqual(ORDER_ROWS);
  if (request.format === 'jsonl') {
    expect(gunzipSync(await readFile(orders)).toString()).toBe(expectedContent(ORDERS));
  }
  if (request.format === 'csv') {
    expect(await python.read('read_csv.py', orders)).toEqual([
      ['id', 'memo'],
      ...ORDER_ROWS.map(({ id, memo }) => [String(id), memo]),
    ]);
  }
});
