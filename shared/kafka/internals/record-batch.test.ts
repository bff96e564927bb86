import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { writeInteger, writeString } from '../../values/avro-writer.ts';
import { type KafkaRecord, MultiPartitionBatch, RecordBatch, toMessages } from './record-batch.ts';

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

const toKafkaRecord = ({ key, value, headers }: PlainRecord): KafkaRecord => ({
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

const add = (batch: RecordBatch, record: PlainRecord) => batch.add(toKafkaRecord(record));

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

const groupsOf = (topic: string, messages: object[]) =>
  groupMessagesPerPartition({
    topic,
    partitionMetadata: [{}],
    messages,
    partitioner: ({ message }) => message.partition,
  });

/** The produce request as kafkajs makes it, but for the two timestamps of now and the checksum over them. */
async function requestOf(messages: object[]): Promise<Buffer> {
  const group = groupsOf('rows', messages)['4'] ?? [];
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
  expect((toMessages([batch]) as object[]).find(() => true)).toBeUndefined();
  const ours = await requestOf(toMessages([batch]));
  const plain = await requestOf(RECORDS.map((record) => ({ ...record, partition: 4 })));
  expect(withoutTimes(ours).equals(withoutTimes(plain))).toBe(true);
});

test('a batch can be encoded again for a retry, and used again after it was sent', async () => {
  const batch = new RecordBatch(4);
  add(batch, { key: 'old', value: Buffer.from('old'), headers: {} });
  batch.reset();
  expect(batch.byteCount).toBe(0);
  for (const record of RECORDS) add(batch, record);
  const messages = toMessages([batch]);
  const [first, again] = [await requestOf(messages), await requestOf(messages)];
  expect(withoutTimes(first).equals(withoutTimes(again))).toBe(true);
});

test('records of several partitions and topics go out in one request, each in its place and order', async () => {
  const first = { topic: 'a', partition: 4 };
  const places = [first, { topic: 'a', partition: 1 }, { topic: 'b', partition: 4 }];
  const batch = new MultiPartitionBatch();
  batch.add({
    ...toKafkaRecord({ key: 'sent', value: Buffer.from('before'), headers: {} }),
    target: first,
  });
  batch.reset();
  expect([batch.byteCount, batch.recordCount]).toEqual([0, 0]);
  for (const [index, record] of RECORDS.entries()) {
    batch.add({ ...toKafkaRecord(record), target: places[index % 3] ?? first });
  }
  const sent = new Map(
    batch.toTopicMessages().map(({ topic, messages }) => [topic, groupsOf(topic, messages)]),
  );
  expect([...sent.keys()]).toEqual(['a', 'b']);
  for (const [index, { topic, partition }] of places.entries()) {
    const alone = new RecordBatch(partition);
    for (const record of RECORDS.filter((_, at) => at % 3 === index)) add(alone, record);
    const group = sent.get(topic)?.[partition] ?? [];
    const encode = async (messages: object[]) => {
      const topicData = [{ topic: 'rows', partitions: [{ partition, firstSequence: 0, messages }] }];
      return (await produceRequest({ acks: -1, timeout: 1_000, topicData }).encode()).buffer;
    };
    const expected = groupsOf(topic, toMessages([alone]))[partition] ?? [];
    expect(withoutTimes(await encode(group)).equals(withoutTimes(await encode(expected)))).toBe(true);
  }
  expect(batch.recordCount).toBe(RECORDS.length);
});

test('chunks that share a partition share its place in the request, each record in its order', async () => {
  const batch = new MultiPartitionBatch();
  // Two chunks of one resource: equal targets, and not the same object.
  const targets = [
    { topic: 'rows', partition: 4 },
    { topic: 'rows', partition: 4 },
  ];
  const alone = new RecordBatch(4);
  for (const [index, record] of RECORDS.entries()) {
    const target = targets[index < 100 ? 0 : 1];
    if (target !== undefined) batch.add({ ...toKafkaRecord(record), target });
    add(alone, record);
  }
  expect(batch.targets()).toEqual([{ topic: 'rows', partition: 4 }]);
  const [sent] = batch.toTopicMessages();
  const ours = await requestOf(sent?.messages ?? []);
  expect(withoutTimes(ours).equals(withoutTimes(await requestOf(toMessages([alone]))))).toBe(true);
});
