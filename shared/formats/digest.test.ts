import { hash } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import vectors from '../../test/golden/record-digests.json' with { type: 'json' };
import type { RowType } from '../domain/row-type.ts';
import { createDigest } from './digest.ts';
import { createRecordDigester, DigestSum } from './record-digest.ts';

const MODULUS = 2n ** 256n;
const hex = (value: bigint) => value.toString(16).padStart(64, '0');

const ROW_TYPE: RowType = {
  resource: 'invoices',
  columns: [
    { name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true },
    { name: 'memo', type: { kind: 'string', pgName: 'text' }, isKey: false },
  ],
};
const context = { signal: new AbortController().signal, scratchPath: async (name: string) => name };

async function encode(
  lines: readonly string[],
  pieceLength: number,
  buckets: readonly number[] | null = null,
) {
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += pieceLength) yield bytes.subarray(at, at + pieceLength);
  }
  const encoded = createDigest(buckets).encode(pieces(), ROW_TYPE, context);
  const file = (await text(encoded.bytes)).split('\n').filter((line) => line !== '');
  return { file: file.map((line) => JSON.parse(line)), rows: encoded.rowCount(), digest: encoded.digest?.() };
}

test.each(vectors.records)('the digest of $record is that of its canonical form', (each) => {
  const found = createRecordDigester(each.key_columns)(Buffer.from(each.record));
  expect(found.digest.toString('hex')).toBe(each.digest);
  expect(hash('sha256', each.canonical)).toBe(each.digest);
  expect(found.key.toString()).toBe(each.key);
  expect(found.bucket).toBe(each.bucket);
});

test('records with other columns than those before them are read by their own', () => {
  const digestOf = createRecordDigester(['id']);
  const one = digestOf(Buffer.from('{"id":1,"a":1}')).digest.toString('hex');
  expect(digestOf(Buffer.from('{"id":1,"b":1}')).digest.toString('hex')).not.toBe(one);
  // A column that was added without a default changes no digest, nor does the order of the columns.
  expect(digestOf(Buffer.from('{"new":null,"a":1,"id":1}')).digest.toString('hex')).toBe(one);
});

test('a row without its key, or that is no object, is refused without its values', () => {
  const digestOf = createRecordDigester(['id']);
  expect(() => digestOf(Buffer.from('{"secret":1}'))).toThrow('lacks a key column');
  for (const line of ['["secret"]', '{"id":1,secret}', '{"id":"secret', '{"id":{"secret":1', '{"id":}'])
    expect(() => digestOf(Buffer.from(line))).toThrow(/^a staged row is not a JSON object: byte \d+ of \d+$/);
});

test('the sum of many digests is that of whole numbers', () => {
  const digests = Array.from({ length: 3_000 }, (_, index) => hash('sha256', String(index), 'buffer'));
  const sum = new DigestSum();
  for (const digest of digests) sum.add(digest);
  const expected = digests.reduce((total, digest) => total + BigInt(`0x${digest.toString('hex')}`), 0n);
  expect(sum.toString()).toBe(hex(expected % MODULUS));
  const twice = new DigestSum();
  twice.addAll(sum);
  twice.addAll(sum);
  expect(twice.toString()).toBe(hex((expected * 2n) % MODULUS));
  // More than the words hold without being carried.
  const most = new DigestSum();
  const count = 2 ** 21 + 3;
  for (let added = 0; added < count; added += 1) most.add(Buffer.alloc(32, 0xff));
  expect(most.toString()).toBe(hex((BigInt(count) * (MODULUS - 1n)) % MODULUS));
});

const LINES = Array.from(
  { length: 2_000 },
  (_, id) => `{"id":${id},"memo":"${'ä"'.replace('"', '\\"')}${id}"}`,
);

test('a line a bucket gives counts and sums, whatever the order of the rows and however they are cut', async () => {
  const whole = await encode(LINES, 1_000_000);
  expect(whole.rows).toBe(LINES.length);
  expect(whole.file).toHaveLength(256);
  expect(whole.file.reduce((sum, { rows }) => sum + rows, 0)).toBe(LINES.length);
  const total = whole.file.reduce((sum, { digest }) => sum + BigInt(`0x${digest}`), 0n);
  expect(hex(total % MODULUS)).toBe(whole.digest);
  for (const length of [1, 97, 4_096])
    expect(await encode(LINES.toReversed(), length)).toEqual({ ...whole, file: whole.file });
});

test('the records of asked buckets are listed, and add up to the sums of these buckets', async () => {
  const { file: sums, digest } = await encode(LINES, 10_000);
  const listed = await encode(LINES, 10_000, [7, 200]);
  expect(listed).toMatchObject({ rows: LINES.length, digest });
  for (const bucket of [7, 200]) {
    const records = listed.file.filter((each) => each.bucket === bucket);
    expect(records).toHaveLength(sums[bucket].rows);
    const sum = records.reduce((total, each) => total + BigInt(`0x${each.digest}`), 0n);
    expect(hex(sum % MODULUS)).toBe(sums[bucket].digest);
  }
  expect(listed.file.every(({ bucket }) => bucket === 7 || bucket === 200)).toBe(true);
  expect(listed.file[0].key).toEqual({ id: expect.any(Number) });
});

test('no rows have a digest of zero', async () => {
  expect(await encode([], 1)).toMatchObject({ rows: 0, digest: '0'.repeat(64) });
});
