import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { RowType } from '../../shared/domain/row-type.ts';
import { type EncodeContext, type Format, stagingOf } from '../../shared/formats/format.ts';

const ROW_TYPE: RowType = {
  resource: 'invoices',
  columns: [
    { name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true },
    { name: 'memo', type: { kind: 'string', pgName: 'text' }, isKey: false },
  ],
};

interface Row {
  readonly id: number;
  readonly memo: string | null;
}

const ROWS: readonly Row[] = [
  { id: 1, memo: 'plain' },
  { id: 2, memo: null },
  { id: 3, memo: '' },
  { id: 4, memo: 'two\r\nlines, "quoted", ünï 😀' },
  ...Array.from({ length: 2_000 }, (_, index) => ({ id: index + 5, memo: `row ${index}` })),
];

async function* cut(data: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += length) yield data.subarray(at, at + length);
}

/** A context with a folder of its own, which must be empty at the end. */
export async function encodeContext(signal?: AbortSignal): Promise<EncodeContext & { folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-format-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return {
    folder,
    signal: signal ?? new AbortController().signal,
    scratchPath: async (name) => join(folder, name),
  };
}

/** The contract of `Format`. `read` is an independent reader that gives the file's rows back. */
export function describeFormat(
  name: string,
  format: Format,
  read: (file: Buffer) => Promise<readonly unknown[]>,
): void {
  describe(name, () => {
    const toLine = (row: Row) =>
      `${JSON.stringify(stagingOf(name) === 'json' ? row : [String(row.id), row.memo])}\n`;

    const encode = async (rows: readonly Row[], pieceLength: number) => {
      const lines = Buffer.from(rows.map(toLine).join(''));
      const context = await encodeContext();
      const encoded = format.encode(cut(lines, pieceLength), ROW_TYPE, context);
      const file = await buffer(encoded.bytes);
      expect(encoded.rowCount()).toBe(rows.length);
      expect(encoded.columnsAsText()).toEqual([]);
      expect(await readdir(context.folder)).toEqual([]);
      return file;
    };

    test('every row is counted, and read back in its place', async () => {
      expect(await read(await encode(ROWS, 65_536))).toEqual(ROWS);
    });

    test('the bytes do not depend on how the lines are cut', async () => {
      const whole = await encode(ROWS, 1_000_000);
      for (const length of [1, 97, 4_096]) expect((await encode(ROWS, length)).equals(whole)).toBe(true);
    });

    test('no rows make a file without rows', async () => {
      expect(await read(await encode([], 1))).toEqual([]);
    });

    test('a failure of the input is passed on', async () => {
      async function* failing(): AsyncGenerator<Buffer> {
        yield Buffer.from(toLine({ id: 1, memo: 'plain' }));
        throw new Error('the part is gone');
      }
      const context = await encodeContext();
      const encoded = format.encode(failing(), ROW_TYPE, context);
      await expect(buffer(encoded.bytes)).rejects.toThrow('the part is gone');
      expect(await readdir(context.folder)).toEqual([]);
    });
  });
}
