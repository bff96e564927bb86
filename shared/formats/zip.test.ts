import { buffer } from 'node:stream/consumers';
import { inflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { type ZipMember, zip } from './zip.ts';

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

test('every member is there, stored or deflated', async () => {
  const archive = await buffer(
    zip(
      listed([
        ['customers.jsonl', LINES, false],
        ['invoices.jsonl.gz', LINES, true],
        ['empty.jsonl', '', false],
      ]),
    ),
  );
  expect(unzip(archive)).toEqual({ 'customers.jsonl': LINES, 'invoices.jsonl.gz': LINES, 'empty.jsonl': '' });
  expect(archive.length).toBeLessThan(LINES.length * 1.5);
});

test('the same members make the same bytes', async () => {
  const make = () => buffer(zip(listed([['a.csv', LINES, false]])));
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
  expect(unzip(await buffer(zip(members())))).toEqual({ a: 'row\n', count: '1' });
});

test('a failure of a member, or of the list, is passed on', async () => {
  async function* failing(): AsyncGenerator<Buffer> {
    yield Buffer.from(LINES);
    throw new Error('the part is gone');
  }
  async function* members(): AsyncGenerator<ZipMember> {
    yield { name: 'a', bytes: failing(), isStored: false };
  }
  await expect(buffer(zip(members()))).rejects.toThrow('the part is gone');
  async function* failingList(): AsyncGenerator<ZipMember> {
    yield* listed([['a', 'row\n', false]]);
    throw new Error('no such resource');
  }
  await expect(buffer(zip(failingList()))).rejects.toThrow('no such resource');
});

test('giving up in the middle closes the member that is being read', async () => {
  let isClosed = false;
  async function* endless(): AsyncGenerator<Buffer> {
    try {
      for (;;) yield Buffer.alloc(65_536);
    } finally {
      isClosed = true;
    }
  }
  async function* members(): AsyncGenerator<ZipMember> {
    yield { name: 'a', bytes: endless(), isStored: true };
  }
  for await (const piece of zip(members())) if (piece.length > 0) break;
  await expect.poll(() => isClosed).toBe(true);
});
