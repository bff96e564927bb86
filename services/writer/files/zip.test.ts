import { readdir } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { crc32, inflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { encodeContext } from '../../../test/contract/describe-format.ts';
import { centralHeader, endOfCentral, localHeader, type ZipEntry, type ZipMember, zip } from './zip.ts';

async function* once(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}

async function* listed(members: readonly [string, string, boolean][]): AsyncGenerator<ZipMember> {
  for (const [name, text, isStored] of members) yield { name, bytes: once(text), isStored };
}

/** Reads by the central directory, as the format asks of readers. */
function unzip(archive: Buffer): Record<string, string> {
  const end = archive.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  let at = archive.readUInt32LE(end + 16);
  const files: Record<string, string> = {};
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    const method = archive.readUInt16LE(at + 10);
    const size = archive.readUInt32LE(at + 20);
    const nameLength = archive.readUInt16LE(at + 28);
    const name = archive.toString('utf8', at + 46, at + 46 + nameLength);
    const local = archive.readUInt32LE(at + 42);
    const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
    const data = archive.subarray(start, start + size);
    files[name] = (method === 0 ? data : inflateRawSync(data)).toString();
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  return files;
}

const LINES = Array.from({ length: 10_000 }, (_, id) => `{"id":${id}}\n`).join('');

/** Reads from the first byte on, as a reader does that never sees the archive's end: sizes have to stand in front. */
function unzipStreamed(archive: Buffer): Record<string, string> {
  const files: Record<string, string> = {};
  for (let at = 0; archive.readUInt32LE(at) === 0x04034b50; ) {
    expect(archive.readUInt16LE(at + 6) & (1 << 3)).toBe(0);
    const method = archive.readUInt16LE(at + 8);
    const checksum = archive.readUInt32LE(at + 14);
    const nameEnd = at + 30 + archive.readUInt16LE(at + 26);
    const start = nameEnd + archive.readUInt16LE(at + 28);
    const end = start + archive.readUInt32LE(at + 18);
    const data = archive.subarray(start, end);
    const content = method === 0 ? data : inflateRawSync(data);
    expect(crc32(content)).toBe(checksum);
    expect(content.length).toBe(archive.readUInt32LE(at + 22));
    files[archive.toString('utf8', at + 30, nameEnd)] = content.toString();
    at = end;
  }
  return files;
}

async function zipped(members: readonly [string, string, boolean][]): Promise<Buffer> {
  return buffer(zip(listed(members), await encodeContext()));
}

test('every member is there, stored or deflated', async () => {
  const archive = await zipped([
    ['customers.jsonl', LINES, false],
    ['rechnungen-ü.jsonl.gz', LINES, true],
    ['empty.jsonl', '', false],
  ]);
  const expected = { 'customers.jsonl': LINES, 'rechnungen-ü.jsonl.gz': LINES, 'empty.jsonl': '' };
  expect(unzip(archive)).toEqual(expected);
  expect(unzipStreamed(archive)).toEqual(expected);
  expect(archive.length).toBeLessThan(LINES.length * 1.5);
});

test('the same members make the same bytes', async () => {
  const make = () => zipped([['a.csv', LINES, false]]);
  expect((await make()).equals(await make())).toBe(true);
});

test('a member is asked for once the one before is in', async () => {
  let readCount = 0;
  async function* counted(): AsyncGenerator<Buffer> {
    yield Buffer.from('row\n');
    readCount += 1;
  }
  async function* members(): AsyncGenerator<ZipMember> {
    yield { name: 'a', bytes: counted(), isStored: true };
    yield { name: 'count', bytes: once(String(readCount)), isStored: false };
  }
  expect(unzip(await buffer(zip(members(), await encodeContext())))).toEqual({ a: 'row\n', count: '1' });
});

test('a failure of a member, or of the list, is passed on', async () => {
  async function* failing(): AsyncGenerator<Buffer> {
    yield Buffer.from(LINES);
    throw new Error('the part is gone');
  }
  async function* members(): AsyncGenerator<ZipMember> {
    yield { name: 'a', bytes: failing(), isStored: false };
  }
  await expect(buffer(zip(members(), await encodeContext()))).rejects.toThrow('the part is gone');
  async function* failingList(): AsyncGenerator<ZipMember> {
    yield* listed([['a', 'row\n', false]]);
    throw new Error('no such resource');
  }
  await expect(buffer(zip(failingList(), await encodeContext()))).rejects.toThrow('no such resource');
});

test('an abort in the middle closes the member that is being read, and leaves nothing on the disk', async () => {
  let isClosed = false;
  const stop = new AbortController();
  async function* endless(): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        stop.signal.throwIfAborted();
        yield Buffer.alloc(65_536);
        stop.abort();
      }
    } finally {
      isClosed = true;
    }
  }
  async function* members(): AsyncGenerator<ZipMember> {
    yield { name: 'a', bytes: endless(), isStored: true };
  }
  const context = await encodeContext(stop.signal);
  await expect(buffer(zip(members(), context))).rejects.toThrow();
  await expect.poll(() => isClosed).toBe(true);
  expect(await readdir(context.folder)).toEqual([]);
});

const GIB = 2 ** 30;
const large: ZipEntry = {
  name: 'a',
  isDeflated: true,
  crc32: 1,
  size: 9 * GIB,
  storedSize: GIB,
  offset: 5 * GIB,
};

test('sizes and offsets beyond 4 GiB stand in the 64-bit form', () => {
  const local = localHeader(large);
  expect([local.readUInt32LE(18), local.readUInt32LE(22)]).toEqual([0xffffffff, 0xffffffff]);
  expect([local.readBigUInt64LE(35), local.readBigUInt64LE(43)]).toEqual([BigInt(9 * GIB), BigInt(GIB)]);
  const central = centralHeader(large);
  expect(central.readUInt32LE(42)).toBe(0xffffffff);
  expect([51, 59, 67].map((at) => central.readBigUInt64LE(at))).toEqual(
    [9, 1, 5].map((n) => BigInt(n * GIB)),
  );
  const offsetOnly = centralHeader({ ...large, size: 7 });
  expect([offsetOnly.readUInt32LE(24), offsetOnly.readUInt16LE(49)]).toEqual([7, 8]);
  expect(offsetOnly.readBigUInt64LE(51)).toBe(BigInt(5 * GIB));
});

test('the end of a large archive has the 64-bit records, that of a small one has not', () => {
  expect(endOfCentral(3, 100, 1_000)).toHaveLength(22);
  expect(endOfCentral(65_535, 100, 1_000)).toHaveLength(56 + 20 + 22);
  const end = endOfCentral(3, 100, 5 * GIB);
  expect(end.readBigUInt64LE(56 + 8)).toBe(BigInt(5 * GIB + 100));
  expect(end.readUInt32LE(56 + 20 + 16)).toBe(0xffffffff);
});
