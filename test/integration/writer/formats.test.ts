import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import type { OutputRequest } from '../../../shared/domain/export-request.ts';
import type { Column, RowTexts, RowType, ValueType } from '../../../shared/domain/row-type.ts';
import { createChooseFormat } from '../../../shared/formats/choose-format.ts';
import type { EncodeContext } from '../../../shared/formats/format.ts';
import { quoteIdent, quoteLiteral } from '../../../shared/postgres/quote.ts';
import { createRowJson } from '../../../shared/values/json-text.ts';
import { queryDuckdb } from '../../support/duckdb-reader.ts';
import { findPython, type Python } from '../../support/python.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

/** What a value of one type is in each format; of the golden table, where `UPDATE_GOLDEN=1` writes it again. */
interface GoldenFormats {
  pg_type: string;
  wire: string;
  json: string;
  csv: string;
  duckdb: { type: string; value: string };
  arrow: { type: string; value: string };
}

const VALUES_FILE = new URL('../../golden/values.json', import.meta.url);
const FORMATS_FILE = new URL('../../golden/files/values-in-formats.json', import.meta.url);

/** Beside the golden values: declared decimals to their limits, and lone surrogates, which only `json` can hold. */
const MORE_VALUES: readonly (readonly [pgType: string, kind: ValueType['kind'], wire: string])[] = [
  ['numeric(38,10)', 'string', '-1234567890123456789012345678.0123456789'],
  ['numeric(39,0)', 'string', '123456789012345678901234567890123456789'],
  ['numeric(10,2)', 'string', 'NaN'],
  ['numeric(3,5)', 'string', '0.00999'],
  ['numeric(4,4)', 'string', '-0.0001'],
  ['date', 'string', '0001-01-01'],
  ['date', 'string', '9999-12-31'],
  ['timestamptz', 'string', '0001-01-01T00:00:00Z'],
  ['timestamptz', 'string', '9999-12-31T23:59:59.999999Z'],
  ['timestamp', 'string', '1969-12-31T23:59:59.999999'],
  ['json', 'json', '"\\ud800"'],
  ['jsonb', 'json', '{}'],
  ['text', 'string', '=cmd|x'],
];

const KEY: Column = { name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true };

let python: Python | undefined;
let values: { pgType: string; kind: ValueType['kind']; wire: string }[];
let rowType: RowType;
/** Every value once, then SQL NULL everywhere. */
let rows: RowTexts[];

beforeAll(async () => {
  python = findPython();
  const golden: { pg_type: string; kind: ValueType['kind']; wire: string | null }[] = JSON.parse(
    await readFile(VALUES_FILE, 'utf8'),
  );
  values = [
    ...golden.flatMap(({ pg_type: pgType, kind, wire }) => (wire === null ? [] : [{ pgType, kind, wire }])),
    ...MORE_VALUES.map(([pgType, kind, wire]) => ({ pgType, kind, wire })),
  ];
  const columns = values.map(({ pgType, kind }, index): Column => {
    return { name: `c${index} "é", ${pgType}`, type: { kind, pgName: pgType }, isKey: false };
  });
  rowType = { resource: 'values', columns: [KEY, ...columns] };
  rows = [
    ['1', ...values.map(({ wire }) => wire)],
    ['2', ...values.map(() => null)],
  ];
}, 300_000);

const chooseFormat = createChooseFormat({ parquetMemoryMb: 512 });

async function encode(request: Partial<OutputRequest>, directory: string): Promise<Buffer> {
  const { format, formatName } = chooseFormat({
    format: 'jsonl',
    compression: 'none',
    archive: null,
    csv_safe: false,
    buckets: null,
    ...request,
  });
  const { toJson } = createRowJson(rowType);
  async function* lines() {
    for (const row of rows) {
      yield Buffer.from(`${formatName === 'jsonl' ? toJson(row) : JSON.stringify(row)}\n`);
    }
  }
  const context: EncodeContext = {
    signal: new AbortController().signal,
    scratchPath: async (name) => join(directory, name),
  };
  const encoded = format.encode(lines(), rowType, context);
  const file = await buffer(encoded.bytes);
  expect(encoded.rowCount()).toBe(rows.length);
  return file;
}

/** A value in a form that loses nothing, and that a reader can give for its typed value too. */
function canonical(type: string, wire: string): string {
  switch (type) {
    case 'DATE':
      return String(Date.parse(wire) / 86_400_000);
    case 'TIMESTAMP':
    case 'TIMESTAMP WITH TIME ZONE':
      return microsecondsOf(wire);
    case 'FLOAT':
      return exactText(Math.fround(Number(wire)));
    case 'DOUBLE':
      return exactText(Number(wire));
    default:
      return wire;
  }
}

function microsecondsOf(rfc3339: string): string {
  const [seconds = '', fraction = ''] = rfc3339.replace(/Z$/, '').split('.');
  return String(BigInt(Date.parse(`${seconds}Z`)) * 1000n + BigInt(fraction.padEnd(6, '0')));
}

const exactText = (value: number) => (Object.is(value, -0) ? '-0' : String(value));

const numberText = (text: string) => exactText(Number(text.replace('nan', 'NaN').replace('inf', 'Infinity')));

/** What DuckDB finds in each column of a Parquet file: its type, and the canonical texts of its values. */
async function readByDuckdb(path: string): Promise<{ type: string; values: (string | null)[] }[]> {
  const file = quoteLiteral(path);
  const described = await queryDuckdb(`select column_type from (describe select * from ${file})`);
  const types = described.map(([type]) => type ?? '');
  const columns = rowType.columns.map(({ name }, index) => {
    const column = quoteIdent(name);
    const type = types[index] ?? '';
    const text = type.startsWith('TIMESTAMP')
      ? `epoch_us(${column})`
      : type === 'DATE'
        ? `epoch_us(${column}) // 86400000000`
        : type === 'BLOB'
          ? `base64(${column})`
          : type === 'FLOAT'
            ? `${column}::double`
            : column;
    return `${text} as c${index}`;
  });
  const found = await queryDuckdb(`select ${columns.join(', ')} from ${file}`);
  return types.map((type, index) => ({
    type,
    values: found.map((row) => {
      const text = row[index] ?? null;
      if (text === null) return null;
      if (type === 'FLOAT' || type === 'DOUBLE') return numberText(text);
      // DuckDB leaves out a zero before the point when its type has no digit there.
      return type.startsWith('DECIMAL') ? text.replace(/^(-?)\./, '$10.') : text;
    }),
  }));
}

async function readByPyarrow(
  reader: Python,
  path: string,
): Promise<{ type: string; values: (string | null)[] }[]> {
  const columns = (await reader.read('read_parquet.py', path)) as {
    name: string;
    type: string;
    values: (string | null)[];
  }[];
  expect(columns.map(({ name }) => name)).toEqual(rowType.columns.map(({ name }) => name));
  return columns.map(({ type, values: found }) => ({
    type,
    values: found.map((text) =>
      text !== null && (type === 'float' || type === 'double') ? numberText(text) : text,
    ),
  }));
}

test('every type has the value of the golden table in every format, for DuckDB and for pyarrow', async (context) => {
  if (python === undefined) return context.skip();
  const directory = temporaryDirectory();
  const jsonl = (await encode({ format: 'jsonl' }, directory)).toString().split('\n');
  const csv = (await encode({ format: 'csv' }, directory)).toString();
  const path = join(directory, 'values.parquet');
  await writeFile(path, await encode({ format: 'parquet' }, directory));
  const duckdb = await readByDuckdb(path);
  const arrow = await readByPyarrow(python, path);

  const csvPath = join(directory, 'values.csv');
  await writeFile(csvPath, csv);
  const records = (await python.read('read_csv.py', csvPath)) as string[][];
  expect(records).toEqual([
    rowType.columns.map(({ name }) => name),
    ...rows.map((row) => row.map((text) => text ?? '')),
  ]);
  // Python's reader does not tell null from an empty string, so the text itself is asked.
  expect(csv.endsWith(`\r\n2${','.repeat(values.length)}\r\n`)).toBe(true);
  expect(JSON.parse(jsonl[1] ?? '')).toEqual(
    Object.fromEntries(rowType.columns.map(({ name }) => [name, name === 'id' ? 2 : null])),
  );

  const { toJson } = createRowJson(rowType);
  expect(jsonl[0]).toBe(toJson(rows[0] ?? []));
  const actual = values.map(({ pgType, kind, wire }, index): GoldenFormats => {
    const single = {
      resource: 'values',
      columns: [{ name: '', type: { kind, pgName: pgType }, isKey: false }],
    };
    const ofDuckdb = duckdb[index + 1];
    const ofArrow = arrow[index + 1];
    expect(ofDuckdb?.values[1], pgType).toBe(null);
    expect(ofArrow?.values[1], pgType).toBe(null);
    expect(ofDuckdb?.values[0], pgType).toBe(canonical(ofDuckdb?.type ?? '', wire));
    expect(ofArrow?.values[0], pgType).toBe(ofDuckdb?.values[0]);
    return {
      pg_type: pgType,
      wire,
      json: createRowJson(single).toJson([wire]).slice('{"":'.length, -1),
      csv: records[1]?.[index + 1] ?? '',
      duckdb: { type: ofDuckdb?.type ?? '', value: ofDuckdb?.values[0] ?? '' },
      arrow: { type: ofArrow?.type ?? '', value: ofArrow?.values[0] ?? '' },
    };
  });
  if (process.env.UPDATE_GOLDEN === '1') {
    await writeFile(FORMATS_FILE, `${JSON.stringify(actual, null, 2)}\n`);
  } else {
    expect(actual).toEqual(JSON.parse(await readFile(FORMATS_FILE, 'utf8')));
  }
});

test.each(['jsonl', 'csv', 'parquet'])('a %s file of the same rows is the same bytes', async (format) => {
  const directory = temporaryDirectory();
  const first = await encode({ format }, directory);
  expect((await encode({ format }, directory)).equals(first)).toBe(true);
});

interface EncodeUsage {
  rows: number;
  sha256: string;
  maxMegabytes: number;
  longestDelayMs: number;
}

async function encodeInProcess(format: string, rowCount: number): Promise<EncodeUsage> {
  const script = fileURLToPath(new URL('../../support/encode-rows.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, format, String(rowCount)]);
  return JSON.parse(stdout);
}

/** What Node itself takes, a bounded number of buffers, and for Parquet what DuckDB may have. */
test.each([
  ['csv', 256],
  ['parquet', 512],
])('300,000 rows of %s in a zip take bounded memory, and the event loop goes on', async (format, limit) => {
  const first = await encodeInProcess(format, 300_000);
  expect(first.rows).toBe(300_000);
  expect(first.maxMegabytes).toBeLessThan(limit);
  // A member that says nothing for ten seconds is put out of its Kafka group.
  expect(first.longestDelayMs).toBeLessThan(5_000);
  expect((await encodeInProcess(format, 300_000)).sha256).toBe(first.sha256);
});
