import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { FetchedRecord } from './decode-records.ts';
import { makeClientLean } from './lean-client.ts';

const require = createRequire(import.meta.url);

interface Encoder {
  readonly buffer: Buffer;
}

test('what kafkajs loads afterwards sends with our checksum and fetches with our decoder, and leaves compressed batches to its own', async () => {
  const CHECKSUM = 'kafkajs/src/protocol/recordBatch/crc32C/index.js';
  const crc32C = require(CHECKSUM) as (bytes: Buffer) => number;
  const expected = crc32C(Buffer.from('some bytes'));
  makeClientLean();
  makeClientLean();
  const checksum = require(CHECKSUM) as (bytes: Buffer) => number;
  expect(checksum).not.toBe(crc32C);
  expect(checksum(Buffer.from('some bytes'))).toBe(expected);

  const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0/index.js') as {
    RecordBatch: (batch: object) => Promise<Encoder>;
  };
  const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0/index.js') as (
    r: object,
  ) => Encoder;
  const records = [encodeRecord({ key: 'k', value: Buffer.from('v') })];
  const response = require('kafkajs/src/protocol/requests/fetch/v11/response.js') as {
    decode(bytes: Buffer): Promise<{ responses: { partitions: { messages: { value: Buffer }[] }[] }[] }>;
  };
  const fetched = async (compression: number) => {
    const { buffer } = await RecordBatch({ records, compression });
    const { responses } = await response.decode(fetchResponse(buffer));
    return responses[0]?.partitions[0]?.messages ?? [];
  };
  const plain = await fetched(0);
  expect(plain[0]).toBeInstanceOf(FetchedRecord);
  expect(String(plain[0]?.value)).toBe('v');
  const gzipped = await fetched(1);
  expect(gzipped[0]).not.toBeInstanceOf(FetchedRecord);
  expect(String(gzipped[0]?.value)).toBe('v');
});

/** Version 11, with one partition of one topic. */
function fetchResponse(records: Buffer): Buffer {
  const head = Buffer.alloc(4 + 2 + 4 + 4 + 2 + 1 + 4);
  head.writeInt32BE(1, 10);
  head.writeInt16BE(1, 14);
  head.write('t', 16);
  head.writeInt32BE(1, 17);
  const partition = Buffer.alloc(4 + 2 + 8 + 8 + 8 + 4 + 4 + 4);
  partition.writeInt32BE(records.length, 38);
  return Buffer.concat([head, partition, records]);
}
