import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { writeInteger, writeString } from '../../../shared/values/avro-writer.ts';
import { RecordBatch } from './record-batch.ts';

type Encode = { encode(): Promise<{ buffer: Buffer }> };

const require = createRequire(import.meta.url);
const produceRequest = require('kafkajs/src/protocol/requests/produce/v3/request.js') as (
  request: object,
) => Encode;
const groupMessagesPerPartition = require('kafkajs/src/producer/groupMessagesPerPartition.js') as (group: {
  topic: string;
  partitionMetadata: object[];
  messages: object[];
  partitioner: (call: { message: { partition: number } }) => number;
}) => Record<string, object[]>;

interface PlainRecord {
  key: string;
  value: Buffer;
  headers: Record<string, string>;
}

function add(batch: RecordBatch, { key, value, headers }: PlainRecord): void {
  batch.add({
    key,
    value: { bytes: value, length: value.length },
    headers: {
      write(out) {
        const entries = Object.entries(headers);
        writeInteger(out, entries.length);
        for (const text of entries.flat()) writeString(out, text);
      },
    },
  });
}

const RECORDS: PlainRecord[] = [
  { key: '["1"]', value: Buffer.from([0, 1, 2]), headers: { export: 'exp_1', seq: '0' } },
  { key: '["é 🧾"]', value: Buffer.alloc(70_000, 7), headers: { export: 'exp_1', seq: '1', account: 'Ö' } },
  { key: 'k'.repeat(200), value: Buffer.alloc(0), headers: {} },
  ...Array.from({ length: 200 }, (_, index) => ({
    key: `["${index}"]`,
    value: Buffer.from(`value ${index}`),
    headers: { seq: String(index), last: '1' },
  })),
];

/** The produce request as kafkajs makes it, but for the two timestamps of now and the checksum over them. */
async function requestOf(messages: object[]): Promise<Buffer> {
  const groups = groupMessagesPerPartition({
    topic: 'rows',
    partitionMetadata: [{}],
    messages,
    partitioner: ({ message }) => message.partition,
  });
  expect(Object.keys(groups)).toEqual(['4']);
  const group = groups['4'] ?? [];
  const topicData = [{ topic: 'rows', partitions: [{ partition: 4, firstSequence: 9, messages: group }] }];
  const { buffer } = await produceRequest({ acks: -1, timeout: 1_000, topicData }).encode();
  expect(group.length).toBe(RECORDS.length);
  return buffer;
}

function withoutTimes(request: Buffer): Buffer {
  const recordBatchStart = 2 + 2 + 4 + 4 + (2 + 'rows'.length) + 4 + 4 + 4;
  const copy = Buffer.from(request);
  copy.fill(0, recordBatchStart + 17, recordBatchStart + 21);
  copy.fill(0, recordBatchStart + 27, recordBatchStart + 43);
  return copy;
}

test('a batch makes the same request, byte for byte, as plain messages', async () => {
  const batch = new RecordBatch(4);
  for (const record of RECORDS) add(batch, record);
  expect((batch.toMessages() as object[]).find(() => true)).toBeUndefined();
  const ours = await requestOf(batch.toMessages());
  const plain = await requestOf(RECORDS.map((record) => ({ ...record, partition: 4 })));
  expect(withoutTimes(ours).equals(withoutTimes(plain))).toBe(true);
});

test('a batch can be encoded again for a retry, and used again after it was sent', async () => {
  const batch = new RecordBatch(4);
  add(batch, { key: 'old', value: Buffer.from('old'), headers: {} });
  batch.reset();
  expect(batch.byteCount).toBe(0);
  for (const record of RECORDS) add(batch, record);
  const messages = batch.toMessages();
  const [first, again] = [await requestOf(messages), await requestOf(messages)];
  expect(withoutTimes(first).equals(withoutTimes(again))).toBe(true);
});
