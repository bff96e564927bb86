import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type IdLine, readIdLines } from './id-file.ts';

async function linesOf(chunks: readonly Buffer[], names: readonly string[] = []): Promise<IdLine[]> {
  async function* source() {
    yield* chunks;
  }
  const all: IdLine[] = [];
  for await (const lines of readIdLines(source(), { names })) all.push(...lines);
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
  const texts = async (whole: string) => (await linesOf([Buffer.from(whole)])).map(({ text }) => text);
  expect(await texts('1\r2\r\r\n3')).toEqual(['1', '2', '3']);
  expect((await linesOf([Buffer.from('1\r'), Buffer.from('\n2')])).map(({ line }) => line)).toEqual([1, 2]);
});

test('quotes of CSV are taken off, and a line that is no cell says why', async () => {
  const lines = await linesOf([Buffer.from('"7"\n" a ""b"" "\n"8","x"\n"9\n["1","2"]\n"1" 2')]);
  expect(lines.map(({ text, fault }) => fault?.code ?? text)).toEqual([
    '7',
    ' a "b" ',
    'columns',
    'quotes',
    '["1","2"]',
    'quotes',
  ]);
});

test('the name of a key column on the first line is a header, and of several columns none is chosen', async () => {
  const texts = async (whole: string) =>
    (await linesOf([Buffer.from(whole)], ['id'])).map(({ text }) => text);
  expect(await texts('\uFEFF\n"ID"\r\n7\r\nid')).toEqual(['7', 'id']);
  expect(await texts('email\n7')).toEqual(['email', '7']);
  for (const header of ['id,name', 'name;"Id"', 'name\tid']) {
    await expect(texts(`${header}\n7`)).rejects.toThrow('more than one column');
  }
});

test('what is not UTF-8, or no text, is refused with its place, however it is cut', async () => {
  const refusals: [Buffer, string][] = [
    [Buffer.from('\uFEFF7\n8', 'utf16le'), 'is UTF-16'],
    [Buffer.from('7\n8', 'utf16le'), 'is UTF-16'],
    [Buffer.from('7\n8', 'utf16le').swap16(), 'is UTF-16'],
    [Buffer.from('PK\x03\x04\x14\0'), 'Excel'],
    [Buffer.from('1f8b0800', 'hex'), 'gzip'],
    [Buffer.from('7\r\nä\rM\xfcller\n', 'latin1'), 'line 2, byte 3 of the file is 0xE4'],
    [Buffer.from('7\rß€\r\n1\0'), 'NUL character: line 3, byte 10 of the file'],
    [Buffer.from('7\n€').subarray(0, 4), 'line 2, byte 2 of the file is 0xE2'],
  ];
  for (const [whole, reason] of refusals) {
    const bytes = Array.from({ length: whole.length }, (_, at) => whole.subarray(at, at + 1));
    await expect(linesOf([whole]), reason).rejects.toThrow(reason);
    await expect(linesOf(bytes), reason).rejects.toThrow(reason);
  }
});

test('a line too long to be an ID is cut, and stays too long', async () => {
  const chunks = Array.from({ length: 50 }, () => Buffer.from('9'.repeat(1_000)));
  const lines = await linesOf([...chunks, Buffer.from('\n7')]);
  expect(lines.map(({ line, text }) => [line, text.length])).toEqual([
    [1, 1_001],
    [2, 1],
  ]);
  expect(lines[0]?.fault?.code).toBe('too_long');
  // Blanks are no part of an ID, and none hides that something follows.
  const blanks = Buffer.from(' '.repeat(5_000));
  expect(await linesOf([blanks, Buffer.from('7'), blanks])).toEqual([{ line: 1, text: '7' }]);
  expect(await linesOf([Buffer.from('7'), blanks, Buffer.from('8')])).toMatchObject([
    { fault: { code: 'too_long' } },
  ]);
});

test('where chunks are cut does not matter', async () => {
  const line = fc.stringMatching(/^[a-zäß€😀0-9 ",]{0,12}$/u);
  await fc.assert(
    fc.asyncProperty(
      fc.array(line),
      fc.constantFrom('\n', '\r\n', '\r'),
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
