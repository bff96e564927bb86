import { randomBytes } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, test } from 'vitest';
import { describeFormat, encodeContext } from '../../test/contract/describe-format.ts';
import type { Column, RowTexts } from '../domain/row-type.ts';
import { createGate, createParquet, decimalType, NoColumnsError } from './parquet.ts';

const parquet = createParquet({ memoryMb: 512 });

/** Rows as arrays of DuckDB's text of each value. */
async function readFile(file: Buffer, sql = 'select * from $file'): Promise<readonly (string | null)[][]> {
  const path = `${(await encodeContext()).folder}/file.parquet`;
  await writeFile(path, file);
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  try {
    const text = `select columns(*)::varchar from (${sql.replace('$file', `'${path}'`)})`;
    return (await connection.runAndReadAll(text)).getRowsJson() as (string | null)[][];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

describeFormat('parquet', parquet, async (file) =>
  (await readFile(file)).map(([id, memo]) => ({ id: Number(id), memo })),
);

async function write(columns: readonly Column[], rows: Iterable<RowTexts>, signal?: AbortSignal) {
  async function* lines() {
    for (const row of rows) yield Buffer.from(`${JSON.stringify(row)}\n`);
  }
  const context = await encodeContext(signal);
  const encoded = parquet.encode(lines(), { resource: 'invoices', columns }, context);
  const file = buffer(encoded.bytes);
  return { file: await file, encoded, context };
}

const column = (name: string, kind: Column['type']['kind'], pgName: string): Column => ({
  name,
  type: { kind, pgName },
  isKey: false,
});

test('a JSON null and SQL NULL differ, and numbers in JSON keep their digits', async () => {
  const { file } = await write(
    [column('doc', 'json', 'jsonb')],
    [['null'], [null], ['{"n": 1.10, "m": 1e400}']],
  );
  expect(await readFile(file)).toEqual([['null'], [null], ['{"n": 1.10, "m": 1e400}']]);
  expect(await readFile(file, 'select typeof(doc) from $file limit 1')).toEqual([['JSON']]);
});

test('a column with a value that its type can not say is text, and the others are not', async () => {
  const columns = [
    column('seen_at', 'string', 'timestamptz'),
    column('due', 'string', 'date'),
    column('sum', 'string', 'numeric(10,2)'),
    column('doc', 'json', 'json'),
    column('paid_at', 'string', 'timestamptz'),
  ];
  const rows = [
    ['2026-01-02T03:04:05.123456Z', '2026-01-02', '1.50', '{}', '2026-01-02T03:04:05Z'],
    [null, null, null, null, null],
    ['infinity', '0044-03-15 BC', 'NaN', '"\\ud800"', '9999-12-31T23:59:59.999999Z'],
  ];
  const { file, encoded } = await write(columns, rows);
  expect(encoded.columnsAsText()).toEqual(['seen_at', 'due', 'sum', 'doc']);
  expect(encoded.rowCount()).toBe(3);
  expect((await readFile(file)).map((row) => row.slice(0, 4))).toEqual(rows.map((row) => row.slice(0, 4)));
  const types =
    'select typeof(seen_at), typeof(due), typeof(sum), typeof(doc), typeof(paid_at) from $file limit 1';
  expect(await readFile(file, types)).toEqual([
    ['VARCHAR', 'VARCHAR', 'VARCHAR', 'VARCHAR', 'TIMESTAMP WITH TIME ZONE'],
  ]);
});

test('rows stay in their order over many groups, and long rows are written in little memory', async () => {
  const filler = randomBytes(300_000).toString('base64');
  function* rows(): Generator<RowTexts> {
    for (let id = 0; id < 400; id += 1) yield [String(id), `${id}${filler}`];
    for (let id = 400; id < 20_000; id += 1) yield [String(id), 'short'];
  }
  const { file } = await write([column('id', 'long', 'int8'), column('memo', 'string', 'text')], rows());
  const ordered = `select count(*), count(*) filter (id = file_row_number) from read_parquet($file, file_row_number = true)`;
  expect(await readFile(file, ordered)).toEqual([['20000', '20000']]);
  expect(
    Number((await readFile(file, 'select num_row_groups from parquet_file_metadata($file)'))[0]?.[0]),
  ).toBeGreaterThan(1);
});

test('a row of 30 MB is written', async () => {
  const memo = 'x'.repeat(30_000_000);
  const { file } = await write([column('memo', 'string', 'text')], [[memo], ['short']]);
  expect(await readFile(file, 'select sum(length(memo)) from $file')).toEqual([['30000005']]);
});

test('an aborted file ends with the reason and leaves nothing behind', async () => {
  const stop = new AbortController();
  const reason = new Error('cancelled');
  const context = await encodeContext(stop.signal);
  async function* lines() {
    for (let id = 0; id < 1_000; id += 1) yield Buffer.from(`["${id}"]\n`);
    stop.abort(reason);
  }
  const rowType = { resource: 'invoices', columns: [column('id', 'long', 'int8')] };
  await expect(buffer(parquet.encode(lines(), rowType, context).bytes)).rejects.toThrow();
  expect(await readdir(context.folder)).toEqual([]);
});

test('a failure says nothing of the values', async () => {
  const failure = await write([column('id', 'long', 'int8')], [['secret']]).catch((error: Error) => error);
  expect(String((failure as Error).stack)).not.toContain('secret');
  expect(failure).toMatchObject({ name: 'DuckdbError', kind: 'Conversion Error' });
});

test('without columns there is no file', async () => {
  await expect(write([], [])).rejects.toThrow(NoColumnsError);
});

const never = new AbortController().signal;

test('work goes one at a time, in its order, also after a failure', async () => {
  const gate = createGate();
  const seen: string[] = [];
  const first = Promise.withResolvers<void>();
  const results = [
    gate.pass(never, () => first.promise.then(() => seen.push('first'))),
    gate.pass(never, async () => {
      seen.push('second');
      throw new Error('no');
    }),
    gate.pass(never, async () => seen.push('third')),
  ];
  expect(seen).toEqual([]);
  first.resolve();
  expect((await Promise.allSettled(results)).map(({ status }) => status)).toEqual([
    'fulfilled',
    'rejected',
    'fulfilled',
  ]);
  expect(seen).toEqual(['first', 'second', 'third']);
});

test('who gives up while waiting leaves the order as it is', async () => {
  const gate = createGate();
  const first = Promise.withResolvers<void>();
  const stop = new AbortController();
  const running = gate.pass(never, () => first.promise);
  const waiting = gate.pass(stop.signal, async () => 'too late');
  let isThirdDone = false;
  const third = gate.pass(never, async () => {
    isThirdDone = true;
  });
  const reason = new Error('cancelled');
  stop.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  expect(isThirdDone).toBe(false);
  first.resolve();
  await Promise.all([running, third]);
  expect(isThirdDone).toBe(true);
});

test.each([
  ['numeric(10,4)', 'DECIMAL(10,4)'],
  ['numeric(38,10)', 'DECIMAL(38,10)'],
  ['numeric(1,0)', 'DECIMAL(1,0)'],
  ['numeric(3,-2)', 'DECIMAL(5,0)'],
  ['numeric(3,5)', 'DECIMAL(5,5)'],
  ['numeric(39,0)', undefined],
  ['numeric(38,-1)', undefined],
  ['numeric', undefined],
  ['public.numeric(10,4)', undefined],
])('%s is %s', (pgName, type) => {
  expect(decimalType(pgName)).toBe(type);
});
