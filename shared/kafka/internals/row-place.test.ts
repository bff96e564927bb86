import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readRowHeaders, toKafkaHeaders } from '../../protocol/headers.ts';
import { decodeRecords, type FetchedRecord } from './decode-records.ts';
import { RowPlaceReader } from './row-place.ts';

const require = createRequire(import.meta.url);
const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0/index.js') as (r: object) => object;
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0/index.js') as {
  RecordBatch: (batch: object) => Promise<{ buffer: Buffer }>;
};

/** A message with the headers, as it comes from Kafka. */
async function fetched(headers: Record<string, unknown>): Promise<FetchedRecord> {
  const { buffer } = await RecordBatch({ records: [encodeRecord({ value: Buffer.alloc(0), headers })] });
  const record = decodeRecords(buffer)?.[0];
  if (record === undefined) throw new Error('a record went in');
  return record;
}

const row = { exportId: 'exp_1', chunk: 3, attempt: 12, seq: 70_000, account: 'a', isLast: false };

test('a row’s place is read from bytes, run after run of exports', async () => {
  const reader = new RowPlaceReader();
  for (const exportId of ['exp_1', 'exp_1', 'exp_2', 'exp_1']) {
    const { account: _, ...place } = { ...row, exportId, isLast: exportId === 'exp_2' };
    expect(reader.read(await fetched(toKafkaHeaders({ ...place, account: 'a' })))).toEqual(place);
  }
});

test('it agrees with the general reader on whatever the headers are', async () => {
  const value = fc.oneof(
    fc.nat().map(String),
    fc.string(),
    fc.constantFrom('-1', '1.5', '', '12345678901234567890', ' 7'),
  );
  const values = fc.oneof(value, fc.array(value, { minLength: 2, maxLength: 2 }));
  const names = fc.constantFrom('export', 'chunk', 'attempt', 'seq', 'account', 'last', 'export2', 'xyz');
  const headers = fc.dictionary(names, values);
  const reader = new RowPlaceReader();
  await fc.assert(
    fc.asyncProperty(headers, async (texts) => {
      const message = await fetched(texts);
      const expected = readRowHeaders(message.headers);
      const place = reader.read(message);
      if (expected === undefined) expect(place).toBeUndefined();
      else expect(expected).toMatchObject(place ?? { missing: true });
    }),
    { numRuns: 2_000 },
  );
});

test('headers that are missing are not a row’s', async () => {
  const reader = new RowPlaceReader();
  expect(reader.read({})).toBeUndefined();
  expect(reader.read(await fetched({ export: 'exp_1' }))).toBeUndefined();
});
