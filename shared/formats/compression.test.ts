import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { gzip, none, zstd } from './compression.ts';

async function* pieces(data: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += length) yield data.subarray(at, at + length);
}

const LINES = Buffer.from(
  Array.from({ length: 20_000 }, (_, id) => `{"id":${id},"memo":"${id * 7919}"}\n`).join(''),
);

test.each([
  ['gzip', gzip, gunzipSync],
  ['zstd', zstd, zstdDecompressSync],
])('%s gives back what went in', async (_name, compression, decompress) => {
  expect(decompress(await buffer(compression.compress(pieces(LINES, 1_000)))).equals(LINES)).toBe(true);
  expect(decompress(await buffer(compression.compress(pieces(Buffer.alloc(0), 1))))).toHaveLength(0);
});

test('gzip gives the same bytes however its input is cut, with no time in the header', async () => {
  const data = Buffer.concat([LINES, randomBytes(50_000), LINES]);
  const whole = await buffer(gzip.compress(pieces(data, data.length)));
  expect(whole.readUInt32LE(4)).toBe(0);
  for (const length of [997, 65_536, 262_143]) {
    expect((await buffer(gzip.compress(pieces(data, length)))).equals(whole)).toBe(true);
  }
});

test('zstd gives the same bytes however its input is cut', async () => {
  const data = Buffer.concat([LINES, randomBytes(50_000), LINES]);
  const whole = await buffer(zstd.compress(pieces(data, data.length)));
  for (const length of [997, 65_536, 262_143]) {
    expect((await buffer(zstd.compress(pieces(data, length)))).equals(whole)).toBe(true);
  }
});

test.each([
  ['gzip', gzip],
  ['zstd', zstd],
  ['none', none],
])('%s passes a failure of its input on', async (_name, compression) => {
  async function* failing() {
    yield LINES;
    throw new Error('the part is gone');
  }
  await expect(buffer(compression.compress(failing()))).rejects.toThrow('the part is gone');
});
