import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type RowHeaders, readRowHeaders, toKafkaHeaders } from '../../protocol/headers.ts';
import { writeInteger, writeString } from '../../values/avro-writer.ts';
import { ByteWriter } from '../../values/byte-writer.ts';
import { decodeRecords, type FetchedRecord } from './decode-records.ts';
import { RowHeadersWriter, RowPlaceReader } from './row-headers.ts';

const CHUNK = { exportId: 'exp_1', chunk: 70_000, attempt: 3 };

function plain(row: RowHeaders): Buffer {
  const out = new ByteWriter();
  const entries = Object.entries(toKafkaHeaders(row));
  writeInteger(out, entries.length);
  for (const text of entries.flat()) writeString(out, String(text));
  return out.toBuffer();
}

test('headers are the same bytes as those of a message object', () => {
  const writer = new RowHeadersWriter(CHUNK);
  for (const seq of [0, 9, 10, 12_345, 4_294_967_296]) {
    for (const isLast of [false, true]) {
      for (const account of ['acc_001', '', 'Ö', 'a'.repeat(300)]) {
        Object.assign(writer, { seq, account, isLast });
        const out = new ByteWriter();
        writer.write(out);
        expect(out.toBuffer()).toEqual(plain({ ...CHUNK, seq, account, isLast }));
      }
    }
  }
});

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

test('the last row has the trace of its chunk, for both readers', async () => {
  const writer = new RowHeadersWriter(CHUNK, 'a-trace');
  for (const isLast of [false, true]) {
    const row = { ...CHUNK, seq: 7, isLast, ...(isLast ? { traceparent: 'a-trace' } : {}) };
    Object.assign(writer, { seq: 7, account: 'a', isLast });
    const out = new ByteWriter();
    writer.write(out);
    expect(out.toBuffer()).toEqual(plain({ ...row, account: 'a' }));
    expect(new RowPlaceReader().read(await fetched(writer.toHeaders()))).toEqual(row);
    expect(readRowHeaders(writer.toHeaders())).toEqual({ ...row, account: 'a' });
  }
});

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
