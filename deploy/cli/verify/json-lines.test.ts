import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readJsonLines } from './json-lines.ts';

async function linesOf(text: string, sizes: readonly number[]): Promise<string[]> {
  async function* inPieces() {
    const bytes = Buffer.from(text);
    let from = 0;
    for (const size of sizes) {
      yield bytes.subarray(from, from + size);
      from += size;
    }
    yield bytes.subarray(from);
  }
  const lines: string[] = [];
  for await (const line of readJsonLines(inPieces())) lines.push(line);
  return lines;
}

test('only a line feed ends a line, wherever the bytes are cut', async () => {
  const lines = fc.array(fc.constantFrom('{"a":"x\u2028y"}', '{"b":"\u2029\u0085é𝒳"}', '{"c":"\r"}', ''));
  await fc.assert(
    fc.asyncProperty(lines, fc.array(fc.nat({ max: 9 })), async (written, sizes) => {
      expect(await linesOf(written.map((line) => `${line}\n`).join(''), sizes)).toEqual(written);
    }),
  );
});

test('a last line without a line feed is a line', async () => {
  expect(await linesOf('{"a":1}\n{"a":2}', [3])).toEqual(['{"a":1}', '{"a":2}']);
});
