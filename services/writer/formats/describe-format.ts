import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import type { RowShape } from '../../../shared/domain/row-shape.ts';
import type { Format } from './format.ts';

const SHAPE: RowShape = {
  resource: 'invoices',
  columns: [
    { name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true },
    { name: 'memo', type: { kind: 'string', pgName: 'text' }, isKey: false },
  ],
};

const ROWS = [
  { id: 1, memo: 'plain' },
  { id: 2, memo: null },
  { id: 3, memo: '' },
  { id: 4, memo: 'two\nlines, "quoted", ünï 😀' },
  ...Array.from({ length: 2_000 }, (_, index) => ({ id: index + 5, memo: `row ${index}` })),
];

async function* cut(data: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += length) yield data.subarray(at, at + length);
}

/** The contract of `Format`. `read` is an independent reader that gives the file's rows back. */
export function describeFormat(
  name: string,
  format: Format,
  read: (file: Buffer) => Promise<readonly unknown[]>,
): void {
  describe(name, () => {
    const encode = (rows: readonly unknown[], pieceLength: number) => {
      const lines = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      return buffer(format.encode(cut(lines, pieceLength), SHAPE));
    };

    test('every row is read back in its place', async () => {
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
        yield Buffer.from(`${JSON.stringify(ROWS[0])}\n`);
        throw new Error('the part is gone');
      }
      await expect(buffer(format.encode(failing(), SHAPE))).rejects.toThrow('the part is gone');
    });
  });
}
