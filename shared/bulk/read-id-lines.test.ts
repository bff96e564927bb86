import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type IdLine, readIdLines } from './read-id-lines.ts';

async function linesOf(chunks: readonly Buffer[]): Promise<IdLine[]> {
  async function* source() {
    yield* chunks;
  }
  const all: IdLine[] = [];
  for await (const lines of readIdLines(source())) all.push(...lines);
  return all;
}

test('byte-order mark, line ends, blanks and spaces are passed over, and lines are counted with the blank ones', async () => {
  const text = '\uFEFF1\r\n\r\n  2 \n\n3';
  expect(await linesOf([Buffer.from(text)])).toEqual([
    { line: 1, text: '1' },
    { line: 3, text: '2' },
    { line: 5, text: '3' },
  ]);
  expect(await linesOf([])).toEqual([]);
});

test('a line too long to be an ID is cut, and stays too long', async () => {
  const chunks = Array.from({ length: 50 }, () => Buffer.from('9'.repeat(1_000)));
  const lines = await linesOf([...chunks, Buffer.from('\n7')]);
  expect(lines.map(({ line, text }) => [line, text.length])).toEqual([
    [1, 1_001],
    [2, 1],
  ]);
});

test('where chunks are cut does not matter', async () => {
  const line = fc.stringMatching(/^[a-zäß€😀0-9 ]{0,12}$/u);
  await fc.assert(
    fc.asyncProperty(
      fc.array(line),
      fc.constantFrom('\n', '\r\n'),
      fc.integer({ min: 1, max: 7 }),
      async (lines, end, size) => {
        const whole = Buffer.from(lines.join(end));
        const chunks: Buffer[] = [];
        for (let start = 0; start < whole.length; start += size)
          chunks.push(whole.subarray(start, start + size));
        expect(await linesOf(chunks)).toEqual(await linesOf([whole]));
      },
    ),
    { numRuns: 50 },
  );
});
