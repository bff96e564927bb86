import { createRequire } from 'node:module';
import type { Message } from 'kafkajs';
import { expect, test } from 'vitest';
import { encodeProduce } from './produce-request.ts';

type Encode = { apiKey: number; apiVersion: number; encode(): Promise<{ buffer: Buffer }> };

const require = createRequire(import.meta.url);
const kafkajsRequest = require('kafkajs/src/protocol/requests/produce/v7/request.js') as (
  request: object,
) => Encode;
const Long = require('kafkajs/src/utils/long.js') as { fromString(text: string): { toString(): string } };

const AT_MS = 1_790_000_000_123;
const PRODUCER = { producerId: Long.fromString('4611686018427387905'), producerEpoch: 7 };
const MESSAGES: Message[] = [
  { key: 'acme/items/["1"]', value: Buffer.from([0, 1, 2]), headers: { op: 'insert', account: 'Ö' } },
  { key: 'é 🧾', value: Buffer.alloc(70_000, 7), headers: { empty: '' } },
  { key: null, value: 'a text', headers: { list: ['a', 'b'] } },
  { key: Buffer.from([255]), value: null },
  ...Array.from({ length: 200 }, (_, index) => ({ key: `k${index}`, value: Buffer.from(`value ${index}`) })),
];

test('a request is the one that kafkajs would make, byte for byte', async () => {
  const partition = (topic: string, place: number, firstSequence: number) => ({
    topic,
    partition: place,
    firstSequence,
    messages: MESSAGES,
  });
  const ours = encodeProduce({
    transactionalId: 'tandem.capture.s.0',
    producer: PRODUCER,
    timeoutMs: 30_000,
    atMs: AT_MS,
    partitions: [
      partition('t.changes', 3, 9),
      partition('t.changes', 11, 0),
      partition('t.capture', 0, 2_147_483_647),
    ],
  });
  const timed = MESSAGES.map((message) => ({ ...message, timestamp: AT_MS }));
  const theirs = kafkajsRequest({
    ...PRODUCER,
    transactionalId: 'tandem.capture.s.0',
    acks: -1,
    timeout: 30_000,
    topicData: [
      {
        topic: 't.changes',
        partitions: [
          { partition: 3, firstSequence: 9, messages: timed },
          { partition: 11, firstSequence: 0, messages: timed },
        ],
      },
      { topic: 't.capture', partitions: [{ partition: 0, firstSequence: 2_147_483_647, messages: timed }] },
    ],
  });
  expect([ours.apiKey, ours.apiVersion]).toEqual([theirs.apiKey, theirs.apiVersion]);
  const { buffer } = await ours.encode();
  expect(buffer.equals((await theirs.encode()).buffer)).toBe(true);
});
