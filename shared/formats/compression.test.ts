import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { crc32, gunzipSync, gzipSync, inflateRawSync, zstdDecompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { encodeContext } from '../../test/contract/describe-format.ts';
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
  const context = await encodeContext();
  const packed = await buffer(compression.compress(pieces(LINES, 1_000), context));
  expect(decompress(packed).equals(LINES)).toBe(true);
  const nothing = await buffer(compression.compress(pieces(Buffer.alloc(0), 1), context));
  expect(decompress(nothing)).toHaveLength(0);
  expect(await readdir(context.folder)).toEqual([]);
});

/** More than the pieces that are compressed beside each other, and not a whole number of them. */
const LONG = Buffer.concat(Array.from({ length: 6 }, () => LINES));

test('gzip of several pieces is one member, with the length and the checksum of all', async () => {
  const packed = await buffer(gzip.compress(pieces(LONG, 100_000), await encodeContext()));
  // Raw inflate stops at the end of the first member.
  expect(inflateRawSync(packed.subarray(10)).equals(LONG)).toBe(true);
  expect(packed.readUInt32LE(packed.length - 8)).toBe(crc32(LONG));
  expect(packed.readUInt32LE(packed.length - 4)).toBe(LONG.length);
});

test('pieces that are compressed beside each other take hardly more than one stream', async () => {
  const packed = await buffer(gzip.compress(pieces(LONG, 100_000), await encodeContext()));
  expect(packed.length).toBeLessThan(gzipSync(LONG).length * 1.01);
});

test('gzip reads no more than a few pieces ahead of its reader', async () => {
  let readBytes = 0;
  async function* counted() {
    for (let count = 0; count < 200; count += 1) {
      readBytes += LINES.length;
      yield LINES;
    }
  }
  const packed = gzip.compress(counted(), await encodeContext())[Symbol.asyncIterator]();
  // The header, and the first piece.
  await packed.next();
  await packed.next();
  expect(readBytes).toBeLessThan(8 * 512 * 1024);
  await packed.return?.();
});

test('gzip gives the same bytes however its input is cut, with no time in the header', async () => {
  const data = Buffer.concat([LINES, randomBytes(50_000), LINES]);
  const context = await encodeContext();
  const whole = await buffer(gzip.compress(pieces(data, data.length), context));
  expect(whole.readUInt32LE(4)).toBe(0);
  for (const length of [997, 65_536, 262_143]) {
    expect((await buffer(gzip.compress(pieces(data, length), context))).equals(whole)).toBe(true);
  }
});

test('zstd gives the same bytes however its input is cut', async () => {
  const data = Buffer.concat([LINES, randomBytes(50_000), LINES]);
  const context = await encodeContext();
  const whole = await buffer(zstd.compress(pieces(data, data.length), context));
  for (const length of [997, 65_536, 262_143]) {
    expect((await buffer(zstd.compress(pieces(data, length), context))).equals(whole)).toBe(true);
  }
});

/** The content size that a frame's header declares (RFC 8878, 3.1.1.1), if it does. */
function contentSize(frame: Buffer): number | undefined {
  const descriptor = frame[4] as number;
  const isSingleSegment = (descriptor & 0b10_0000) !== 0;
  const at = isSingleSegment ? 5 : 6;
  switch (descriptor >> 6) {
    case 0:
      return isSingleSegment ? frame[at] : undefined;
    case 1:
      return frame.readUInt16LE(at) + 256;
    case 2:
      return frame.readUInt32LE(at);
    default:
      return Number(frame.readBigUInt64LE(at));
  }
}

test.each([0, 1, 300, 70_000, LINES.length])('a zstd frame of %i bytes says so', async (length) => {
  const content = LINES.subarray(0, length);
  const frame = await buffer(zstd.compress(pieces(content, 1_000), await encodeContext()));
  expect(contentSize(frame)).toBe(length);
  expect(zstdDecompressSync(frame).equals(content)).toBe(true);
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
  await expect(buffer(compression.compress(failing(), await encodeContext()))).rejects.toThrow(
    'the part is gone',
  );
});
