import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { describeFormat, encodeContext } from '../../test/contract/describe-format.ts';
import type { Column, RowTexts } from '../domain/row-type.ts';
import { ByteWriter } from '../values/byte-writer.ts';
import { writeJsonString } from '../values/json-writer.ts';
import { createCsv, UnreadableLineError, writeCsvRecord } from './csv.ts';

/** A reader of its own making, character by character: null and an empty string differ by their quotes alone. */
function parseCsv(text: string): (string | null)[][] {
  const records: (string | null)[][] = [];
  let record: (string | null)[] = [];
  let at = 0;
  while (at < text.length) {
    let cell = '';
    const isQuoted = text[at] === '"';
    if (isQuoted) {
      at += 1;
      while (text[at] !== '"' || text[at + 1] === '"') {
        if (text[at] === '"') at += 1;
        cell += text[at];
        at += 1;
      }
      at += 1;
    } else {
      while (!',\r'.includes(text[at] ?? '\r')) {
        cell += text[at];
        at += 1;
      }
    }
    record.push(cell === '' && !isQuoted ? null : cell);
    if (text[at] === ',') {
      at += 1;
      continue;
    }
    expect(text.slice(at, at + 2)).toBe('\r\n');
    at += 2;
    records.push(record);
    record = [];
  }
  return records;
}

describeFormat('csv', createCsv({ isSafe: false }), async (file) => {
  const [header, ...rows] = parseCsv(file.toString());
  expect(header).toEqual(['id', 'memo']);
  return rows.map(([id, memo]) => ({ id: Number(id), memo }));
});

async function write(
  columns: readonly Column[],
  rows: readonly RowTexts[],
  { isSafe = false } = {},
): Promise<string> {
  async function* lines() {
    for (const row of rows) yield Buffer.from(`${JSON.stringify(row)}\n`);
  }
  const rowType = { resource: 'invoices', columns };
  const { bytes } = createCsv({ isSafe }).encode(lines(), rowType, await encodeContext());
  return (await buffer(bytes)).toString();
}

const column = (name: string, kind: Column['type']['kind'], pgName: string): Column => ({
  name,
  type: { kind, pgName },
  isKey: false,
});

test('the header is there without rows, and quoted where it has to be', async () => {
  const columns = [column('id', 'long', 'int8'), column('a,"b"', 'string', 'text')];
  expect(await write(columns, [])).toBe('id,"a,""b"""\r\n');
});

test('null is empty, an empty string is quoted, and a JSON null is its text', async () => {
  const columns = [column('a', 'json', 'jsonb'), column('b', 'string', 'text')];
  expect(
    await write(columns, [
      [null, null],
      ['null', ''],
      ['{"n":1.10}', 'null'],
    ]),
  ).toBe('a,b\r\n,\r\nnull,""\r\n"{""n"":1.10}",null\r\n');
});

const RISKY = ['=1+1', '+1', '-1', '@a', '\ta', '\ra', 'a=1', ''] as const;

test('safe cells start with an apostrophe where a spreadsheet would see a formula', async () => {
  const columns = [column('=x', 'string', 'text'), column('b', 'bytes', 'bytea')];
  const rows = RISKY.map((text) => [text, '+/8=']);
  const safe = parseCsv(await write(columns, rows, { isSafe: true }));
  expect(safe[0]).toEqual(["'=x", 'b']);
  expect(safe.slice(1).map(([text]) => text)).toEqual([
    "'=1+1",
    "'+1",
    "'-1",
    "'@a",
    "'\ta",
    "'\ra",
    'a=1',
    '',
  ]);
  expect(safe[1]?.[1]).toBe("'+/8=");
  expect(parseCsv(await write(columns, rows)).slice(1)).toEqual(rows);
});

test('numbers are never changed, safe or not', async () => {
  const columns = [
    column('a', 'long', 'int8'),
    column('b', 'double', 'float8'),
    column('c', 'string', 'numeric(10,4)'),
    column('d', 'string', 'numeric'),
    column('e', 'string', 'money'),
    column('f', 'json', 'jsonb'),
  ];
  const row = ['-1', '-Infinity', '-1.5000', '-1e400', '-1234.56', '-5'];
  expect(await write(columns, [row], { isSafe: true })).toBe(`a,b,c,d,e,f\r\n${row.join(',')}\r\n`);
});

test.each([['{"a":1}\n'], ['[1,"b"]'], ['["a","b","c"]\n'], ['nonsense\n']])(
  'the line %j is refused',
  async (line) => {
    async function* lines() {
      yield Buffer.from(line);
    }
    const rowType = {
      resource: 'invoices',
      columns: [column('a', 'long', 'int8'), column('b', 'long', 'int8')],
    };
    const { bytes } = createCsv({ isSafe: false }).encode(lines(), rowType, await encodeContext());
    await expect(buffer(bytes)).rejects.toThrow(UnreadableLineError);
  },
);

/** The same by strings, as plainly as it can be said. */
function recordOf(texts: readonly (string | null)[], isGuarded: boolean): string {
  const cells = texts.map((text) => {
    if (text === null) return '';
    const guarded = isGuarded && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return text === '' || /[",\r\n]/.test(text) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
  });
  return `${cells.join(',')}\r\n`;
}

/** As a part stages it. */
function lineOf(texts: readonly (string | null)[]): Buffer {
  const out = new ByteWriter();
  for (const [index, text] of texts.entries()) {
    out.writeAscii(index === 0 ? '[' : ',');
    const bytes = Buffer.from(text ?? '');
    if (text === null) out.writeAscii('null');
    else writeJsonString(out, bytes, 0, bytes.length);
  }
  out.writeAscii(']\n');
  return out.toBuffer();
}

const TEXT = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('"', ',', '\\', '\r', '\n', '\t', '=', '-', '\u0001', 'é', '😀', 'n') }),
);

test('every text is written as its record says', () => {
  fc.assert(
    fc.property(
      fc.array(fc.option(TEXT), { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      (texts, isGuarded) => {
        const out = new ByteWriter();
        const line = lineOf(texts);
        const guarded = texts.map(() => isGuarded);
        expect(writeCsvRecord(out, line, 0, guarded)).toBe(line.length);
        expect(out.toText()).toBe(recordOf(texts, isGuarded));
        const inPlainJson = Buffer.from(`${JSON.stringify(texts)}\n`);
        out.reset();
        writeCsvRecord(out, inPlainJson, 0, guarded);
        expect(out.toText()).toBe(recordOf(texts, isGuarded));
      },
    ),
  );
});
