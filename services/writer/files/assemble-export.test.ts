import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import type { ClaimedAssembly, ResourceParts } from '../../../shared/control/exports/assembly.ts';
import type { DeletedKeys } from '../../../shared/control/exports/changed-keys.ts';
import type { ChunkMerge } from '../../../shared/control/exports/chunk-merge.ts';
import type { RowType } from '../../../shared/domain/row-type.ts';
import { createChooseFormat, UnknownOutputError } from '../../../shared/formats/choose-format.ts';
import { createFileStorage } from '../../../shared/storage/file-storage.ts';
import { StorageNotFoundError } from '../../../shared/storage/storage.ts';
import { assembleExport, inStages } from './assemble-export.ts';
import { MixedSchemasError, RowCountMismatchError } from './resource-file.ts';
import { createScratch } from './scratch.ts';

const ROW_TYPE: RowType = {
  resource: 'invoices',
  columns: [
    { name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true },
    { name: 'memo', type: { kind: 'string', pgName: 'text' }, isKey: false },
  ],
};

function claim(overrides: Partial<ClaimedAssembly> = {}): ClaimedAssembly {
  return {
    exportId: 'exp_1',
    accountId: 'acct_1',
    resources: ['invoices'],
    request: { resources: ['invoices'], format: 'jsonl', compression: 'none' },
    snapshot: { taken_at: '2026-01-02T03:04:05.000Z', lsn: '0/1', xmin: '1', xmax: '1', xip: [] },
    cutLsn: null,
    isChunked: false,
    isSmall: true,
    createdAt: new Date('2026-01-02T03:04:04Z'),
    runAttempt: 1,
    tryCount: 1,
    owner: 'me',
    ...overrides,
  };
}

const NO_KEYS: DeletedKeys = {
  count: async () => ({ keyCount: 0, deletedCount: 0 }),
  async *pages() {},
};

const NO_MERGE: ChunkMerge = { count: async () => ({ created: 0, removed: 0 }), async *records() {} };

async function setUp(
  contents: readonly string[],
  rowType = ROW_TYPE,
  deleted = NO_KEYS,
  merge: ChunkMerge = NO_MERGE,
) {
  const root = await mkdtemp(join(tmpdir(), 'tandem-assembly-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const storage = createFileStorage(root);
  const parts = await Promise.all(
    contents.map(async (content, chunk) => {
      const path = `parts/exp_1/invoices/${chunk}-1.jsonl`;
      const file = await storage.openWriter(path);
      await file.append(content);
      await file.commit();
      return { chunk, path, rows: content.split('\n').length - 1, bytes: Buffer.byteLength(content) };
    }),
  );
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const invoices: ResourceParts = {
    resource: 'invoices',
    rowsPlanned: rows,
    rowsExtracted: rows,
    rowsWritten: rows,
    parts,
    schemaIds: [7],
  };
  return {
    root,
    storage,
    invoices,
    assemble: (claimed = claim(), resource = invoices, signal = new AbortController().signal) =>
      assembleExport(
        claimed,
        {
          storage,
          scratch: createScratch(join(root, 'scratch')),
          chooseFormat: createChooseFormat({ parquetMemoryMb: 512 }),
          listParts: async () => new Map(resource.parts.length > 0 ? [['invoices', resource]] : []),
          rowTypeOf: async () => rowType,
          keyOf: () => ['id'],
          deletedKeys: () => deleted,
          chunkMerge: () => merge,
        },
        signal,
      ),
    read: async (path: string) => text(await storage.openRead(path)),
    readBytes: async (path: string) => buffer(await storage.openRead(path)),
  };
}

const hashOf = (content: string) => createHash('sha256').update(content).digest('hex');

test('parts are put together in order of chunk, and described in the manifest', async () => {
  const { assemble, read } = await setUp(['{"id":1}\n{"id":2}\n', '{"id":3}\n']);
  const content = '{"id":1}\n{"id":2}\n{"id":3}\n';
  expect(await assemble()).toEqual([
    {
      name: 'invoices.jsonl',
      resource: 'invoices',
      rows: 3,
      bytes: content.length,
      sha256: hashOf(content),
      path: 'exports/exp_1/invoices.jsonl',
    },
  ]);
  expect(await read('exports/exp_1/invoices.jsonl')).toBe(content);
  expect(JSON.parse(await read('exports/exp_1/manifest.json'))).toMatchObject({
    export: 'exp_1',
    account: 'acct_1',
    format: 'jsonl',
    rows: 3,
    snapshot: { lsn: '0/1' },
    files: [{ name: 'invoices.jsonl', rows: 3, sha256: hashOf(content) }],
    schemas: {
      invoices: {
        columns: [
          { name: 'id', type: 'int8', json: 'integer', key: true },
          { name: 'memo', type: 'text', json: 'string', key: false },
        ],
      },
    },
  });
});

test('doing the work again gives the same bytes, the manifest included', async () => {
  const { assemble, read } = await setUp(['{"id":1}\n', '{"id":2}\n']);
  const zipped = claim({ request: { resources: ['invoices'], format: 'jsonl', compression: 'gzip' } });
  const first = [await assemble(zipped), await read('exports/exp_1/manifest.json')];
  const second = [await assemble(zipped), await read('exports/exp_1/manifest.json')];
  expect(second).toEqual(first);
  expect(first[0]).toMatchObject([{ name: 'invoices.jsonl.gz', rows: 2 }]);
});

test('an export without rows has an empty file with its schema', async () => {
  const { assemble, read } = await setUp([]);
  expect(await assemble()).toMatchObject([{ name: 'invoices.jsonl', rows: 0, bytes: 0, sha256: hashOf('') }]);
  expect(await read('exports/exp_1/invoices.jsonl')).toBe('');
  expect(JSON.parse(await read('exports/exp_1/manifest.json')).schemas.invoices.columns).toHaveLength(2);
});

test.each(['rowsPlanned', 'rowsExtracted', 'rowsWritten'] as const)(
  'a file is not published when %s differs from its lines',
  async (count) => {
    const { assemble, invoices, storage } = await setUp(['{"id":1}\n']);
    await expect(assemble(claim(), { ...invoices, [count]: 2 })).rejects.toThrow(RowCountMismatchError);
    expect(await storage.stat('exports/exp_1/invoices.jsonl')).toBeUndefined();
    expect(await storage.stat('exports/exp_1/manifest.json')).toBeUndefined();
  },
);

test('a zip archive has every file and a manifest of them, and names no export', async () => {
  const { assemble, read, readBytes } = await setUp(['["1","a"]\n["2",null]\n']);
  const request = { resources: ['invoices'], format: 'csv', compression: 'none', archive: 'zip' };
  const first = await assemble(claim({ request }));
  const csv = 'id,memo\r\n1,a\r\n2,\r\n';
  const member = {
    name: 'invoices.csv',
    resource: 'invoices',
    rows: 2,
    bytes: csv.length,
    sha256: hashOf(csv),
  };
  expect(first).toMatchObject([{ name: 'export.zip', resource: null, rows: 2, members: [member] }]);
  expect(JSON.parse(await read('exports/exp_1/manifest.json'))).toMatchObject({
    archive: 'zip',
    rows: 2,
    files: [{ name: 'export.zip', resource: null, members: [member] }],
  });
  const archive = await readBytes('exports/exp_1/export.zip');
  expect(archive.length).toBe(first[0]?.bytes);
  expect(archive.includes('manifest.json')).toBe(true);
  const again = await assemble(claim({ request, createdAt: new Date('2026-05-06T07:08:09Z') }));
  expect(again).toEqual(first);
});

test('a Parquet file is counted, its text columns are named, and the local disk is left clean', async () => {
  const rowType: RowType = {
    resource: 'invoices',
    columns: [
      { name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true },
      { name: 'due', type: { kind: 'string', pgName: 'date' }, isKey: false },
    ],
  };
  const { assemble, read, readBytes, root } = await setUp(
    ['["1","2026-01-02"]\n', '["2","infinity"]\n'],
    rowType,
  );
  const request = { resources: ['invoices'], format: 'parquet', compression: 'none' };
  const files = await assemble(claim({ request }));
  expect(files).toMatchObject([{ name: 'invoices.parquet', rows: 2 }]);
  expect((await readBytes('exports/exp_1/invoices.parquet')).subarray(0, 4).toString()).toBe('PAR1');
  expect(JSON.parse(await read('exports/exp_1/manifest.json')).schemas.invoices.columns).toEqual([
    { name: 'id', type: 'int8', json: 'integer', key: true },
    { name: 'due', type: 'date', json: 'string', key: false, as_text: true },
  ]);
  expect(await readdir(join(root, 'scratch'))).toEqual([]);
  expect(await assemble(claim({ request }))).toEqual(files);
});

test.each(['csv', 'parquet'])('a row that is missing from a %s file fails it', async (format) => {
  const { assemble, invoices, storage } = await setUp(['["1","a"]\n']);
  const claimed = claim({ request: { resources: ['invoices'], format, archive: 'zip' } });
  await expect(assemble(claimed, { ...invoices, rowsPlanned: 2 })).rejects.toThrow(RowCountMismatchError);
  expect(await storage.stat('exports/exp_1/export.zip')).toBeUndefined();
});

test('a digest has no rows, and its sum is in the file, in the facts and in the manifest', async () => {
  const { assemble, read, invoices } = await setUp(['{"id":1,"memo":null}\n', '{"id":2,"memo":"b"}\n']);
  const claimed = claim({
    request: { resources: ['invoices'], format: 'digest', as_of: '2026-03-01T00:00:00Z' },
  });
  const sum = ['{"id":1}', '{"id":2,"memo":"b"}'].reduce(
    (total, text) => total + BigInt(`0x${hashOf(text)}`),
    0n,
  );
  const digest = (sum % 2n ** 256n).toString(16).padStart(64, '0');
  const facts = { name: 'invoices.digest.jsonl', resource: 'invoices', rows: 2, digest };
  expect(await assemble(claimed)).toMatchObject([facts]);
  expect(JSON.parse(await read('exports/exp_1/manifest.json'))).toMatchObject({ rows: 2, files: [facts] });
  expect(await read('exports/exp_1/invoices.digest.jsonl')).not.toContain('"b"');
  await expect(assemble(claimed, { ...invoices, rowsPlanned: 3 })).rejects.toThrow(RowCountMismatchError);
});

test('rows staged by column are refused when their schemas differ', async () => {
  const { assemble, invoices } = await setUp(['["1","a"]\n']);
  const claimed = claim({ request: { resources: ['invoices'], format: 'csv' } });
  await expect(assemble(claimed, { ...invoices, schemaIds: [7, 8] })).rejects.toThrow(MixedSchemasError);
});

function deletedKeys(keys: readonly string[], keyCount: number): DeletedKeys {
  return {
    count: async () => ({ keyCount, deletedCount: keys.length }),
    async *pages() {
      for (const key of keys) yield [key];
    },
  };
}

test.each([
  {
    format: 'jsonl',
    part: '{"id":2,"memo":"b"}\n',
    changed: '{"id":2,"memo":"b"}\n',
    deleted: '{"id":1}\n{"id":9}\n',
  },
  { format: 'csv', part: '["2","b"]\n', changed: 'id,memo\r\n2,b\r\n', deleted: 'id\r\n1\r\n9\r\n' },
])('an export of changes has two $format files, with rows and with keys', async (each) => {
  const { assemble, read } = await setUp([each.part], ROW_TYPE, deletedKeys(['["1"]', '["9"]'], 3));
  const request = { resources: ['invoices'], format: each.format, changes_since: 'exp_0' };
  expect(await assemble(claim({ request }))).toMatchObject([
    { name: `invoices.changed.${each.format}`, resource: 'invoices', rows: 1 },
    { name: `invoices.deleted.${each.format}`, resource: 'invoices', rows: 2 },
  ]);
  expect(await read(`exports/exp_1/invoices.changed.${each.format}`)).toBe(each.changed);
  expect(await read(`exports/exp_1/invoices.deleted.${each.format}`)).toBe(each.deleted);
  expect(JSON.parse(await read('exports/exp_1/manifest.json')).changes_since).toBe('exp_0');
});

test('an export of changes in which a key has neither a row nor a deletion is not published', async () => {
  const { assemble } = await setUp(['{"id":2}\n'], ROW_TYPE, deletedKeys(['["1"]'], 3));
  const claimed = claim({ request: { resources: ['invoices'], format: 'jsonl', changes_since: 'exp_0' } });
  await expect(assemble(claimed)).rejects.toThrow(RowCountMismatchError);
});

test('a selection of fields is what the schema names', async () => {
  const { assemble, read } = await setUp(['{"id":1}\n']);
  await assemble(claim({ request: { resources: ['invoices'], format: 'jsonl', fields: ['id'] } }));
  const { columns } = JSON.parse(await read('exports/exp_1/manifest.json')).schemas.invoices;
  expect(columns).toMatchObject([{ name: 'id' }]);
});

test('a part that is gone is told by its class', async () => {
  const { assemble, storage } = await setUp(['{"id":1}\n']);
  await storage.deleteFolder('parts/exp_1');
  await expect(assemble()).rejects.toThrow(StorageNotFoundError);
});

test('a format that is not known is told by its class', async () => {
  const { assemble } = await setUp(['{"id":1}\n']);
  await expect(
    assemble(claim({ request: { resources: ['invoices'], format: 'parquet', compression: 'gzip' } })),
  ).rejects.toThrow(UnknownOutputError);
});

test('an aborted assembly stops and leaves no file', async () => {
  const { assemble, invoices, storage } = await setUp(['{"id":1}\n']);
  const reason = new Error('cancelled');
  await expect(assemble(claim(), invoices, AbortSignal.abort(reason))).rejects.toThrow(reason);
  expect(await storage.listNames('exports/exp_1')).toEqual([]);
});

const LARGE = 2 ** 21;

test('small works go side by side and large ones alone, with results in order', async () => {
  let running = 0;
  const seen: { bytes: number; beside: number }[] = [];
  const works = [
    { bytes: LARGE },
    ...Array.from({ length: 30 }, (_, bytes) => ({ bytes })),
    { bytes: LARGE + 1 },
  ];
  const results = await inStages(works, async ({ bytes }) => {
    running += 1;
    await new Promise(setImmediate);
    seen.push({ bytes, beside: running });
    running -= 1;
    return bytes;
  });
  expect(results).toEqual(works.map(({ bytes }) => bytes));
  expect(Math.max(...seen.map(({ beside }) => beside))).toBe(12);
  expect(seen.filter(({ bytes }) => bytes >= LARGE).map(({ beside }) => beside)).toEqual([1, 1]);
});

test('a failure is thrown once nothing is under way, and nothing more is begun', async () => {
  let running = 0;
  let begun = 0;
  const works = Array.from({ length: 40 }, (_, bytes) => ({ bytes }));
  const failing = inStages(works, async ({ bytes }) => {
    begun += 1;
    running += 1;
    await new Promise(setImmediate);
    running -= 1;
    if (bytes === 0) throw new Error('storage is full');
  });
  await expect(failing).rejects.toThrow('storage is full');
  expect(running).toBe(0);
  expect(begun).toBeLessThan(30);
});
