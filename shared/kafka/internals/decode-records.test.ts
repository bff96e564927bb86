import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeRecords } from './decode-records.ts';

type Record = { [name in (typeof FIELDS)[number]]: unknown } & { batchContext: { [name: string]: unknown } };

const FIELDS = [
  'magicByte',
  'attributes',
  'offset',
  'timestamp',
  'key',
  'value',
  'headers',
  'isControlRecord',
] as const;

const require = createRequire(import.meta.url);
const Decoder = require('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => object;
const kafkajsDecode = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js') as (
  decoder: object,
) => Promise<Record[]>;
const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0/index.js') as (r: object) => object;
const { RecordBatch: encodeBatch } = require('kafkajs/src/protocol/recordBatch/v0/index.js') as {
  RecordBatch: (batch: object) => Promise<{ buffer: Buffer }>;
};

interface SomeRecord {
  offsetDelta: number;
  timestampDelta: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: { [name: string]: string | string[] };
}

async function batchOf(records: readonly SomeRecord[], facts: object = {}): Promise<Buffer> {
  const options = { firstOffset: 5_000, firstTimestamp: 1_700_000_000_000, maxTimestamp: 1_700_000_009_999 };
  return (await encodeBatch({ ...options, ...facts, records: records.map(encodeRecord) })).buffer;
}

/** As kafkajs reads the same bytes, behind their length. */
async function byKafkajs(bytes: Buffer): Promise<Record[]> {
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes.length);
  return kafkajsDecode(new Decoder(Buffer.concat([length, bytes])));
}

function shown(records: readonly Record[] | undefined) {
  return records?.map((record) => ({
    ...Object.fromEntries(FIELDS.map((field) => [field, record[field]])),
    producerId: record.batchContext.producerId,
    inTransaction: record.batchContext.inTransaction,
  }));
}

const decoded = (bytes: Buffer) => shown(decodeRecords(bytes) as unknown as Record[] | undefined);

const bytes = fc.uint8Array({ maxLength: 300 }).map((content) => Buffer.from(content));
const someRecord: fc.Arbitrary<SomeRecord> = fc.record({
  offsetDelta: fc.nat(1_000_000),
  timestampDelta: fc.oneof(fc.nat(100), fc.integer({ min: -(2 ** 40), max: 2 ** 40 })),
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.dictionary(
    fc.string({ minLength: 1, maxLength: 20 }).filter((name) => !(name in {})),
    fc.oneof(fc.string({ maxLength: 200 }), fc.array(fc.string(), { minLength: 2, maxLength: 3 })),
    { maxKeys: 5 },
  ),
});

test('records are read as kafkajs reads them', async () => {
  const facts = fc.record({ transactional: fc.boolean(), producerId: fc.constantFrom(-1, 0, 4_711) });
  const batches = fc.array(fc.tuple(fc.array(someRecord, { minLength: 1, maxLength: 8 }), facts), {
    minLength: 1,
    maxLength: 3,
  });
  await fc.assert(
    fc.asyncProperty(batches, async (contents) => {
      const wire = Buffer.concat(
        await Promise.all(contents.map(([records, fact]) => batchOf(records, fact))),
      );
      expect(decoded(wire)).toEqual(shown(await byKafkajs(wire)));
    }),
    { numRuns: 50 },
  );
});

const ROW: SomeRecord = {
  offsetDelta: 0,
  timestampDelta: 0,
  key: null,
  value: Buffer.from('v'),
  headers: {},
};

test('a batch that is cut off anywhere is left for the next fetch', async () => {
  const [whole, cut] = [await batchOf([ROW]), await batchOf([ROW, { ...ROW, offsetDelta: 1 }])];
  for (let length = 0; length < cut.length; length += 1) {
    expect(decodeRecords(Buffer.concat([whole, cut.subarray(0, length)]))).toHaveLength(1);
  }
});

test('control records and times given by the log are told', async () => {
  const wire = await batchOf([{ ...ROW, timestampDelta: 5 }]);
  wire.writeInt16BE(0x28, 21);
  expect(decoded(wire)).toEqual(shown(await byKafkajs(wire)));
  expect(decoded(wire)).toMatchObject([{ isControlRecord: true, timestamp: '1700000009999' }]);
});

test('compressed batches and old formats are left to kafkajs', async () => {
  const compressed = await batchOf([ROW]);
  compressed.writeInt16BE(1, 21);
  expect(decodeRecords(compressed)).toBeUndefined();
  const old = await batchOf([ROW]);
  old.writeInt8(1, 16);
  expect(decodeRecords(old)).toBeUndefined();
});

test('a record that is not as long as it says is an error, not another record', async () => {
  const wire = await batchOf([ROW, { ...ROW, offsetDelta: 1 }]);
  const recordAt = 61;
  wire.writeInt8(wire.readInt8(recordAt) + 20, recordAt);
  expect(() => decodeRecords(wire)).toThrow(RangeError);
});

test('a header is only a header, whatever its name', async () => {
  const headers = { toString: 'a', constructor: ['b', 'c'] };
  const [record] = decodeRecords(await batchOf([{ ...ROW, headers }])) ?? [];
  expect(record?.headers).toEqual({
    toString: Buffer.from('a'),
    constructor: [Buffer.from('b'), Buffer.from('c')],
  });
});
