import type { TopicMessages } from 'kafkajs';
import { expect, test } from 'vitest';
import type { MessageCodec } from '../../../shared/kafka/messages.ts';
import { topicsOf } from '../../../shared/kafka/topics.ts';
import type { ChangeMessage } from '../changes/change-messages.ts';
import { createBatch } from '../changes/collect-changes.ts';
import type { CaptureProgress } from './capture-progress.ts';
import { createChangeChain } from './change-chain.ts';
import { createPublisher } from './publisher.ts';

const PROGRESS: CaptureProgress = {
  systemId: '7',
  timeline: 1,
  passedLsn: 10n,
  lastCommitLsn: 9n,
  lastIndex: 0,
  settledLsn: 8n,
  snapshot: '1:1:',
  unsettled: [],
  unsettledXmin: null,
  tables: new Map(),
  setAsides: [],
};
const TOPICS = topicsOf('t', { name: 'c', resources: [] });

const codec: MessageCodec = {
  encode: async (type, key) => ({ key, value: Buffer.from(type), headers: { type } }),
  decode: async () => undefined,
};

function setUp(maxMessageBytes: number) {
  const sent: TopicMessages[][][] = [];
  const publisher = createPublisher({
    producers: {
      count: 1,
      publish: async (requests) => {
        sent.push([...requests]);
        return [];
      },
      close: async () => undefined,
    },
    codec,
    topics: TOPICS,
    catalog: { name: 'c', resources: [] },
    slotName: 's',
    chain: createChangeChain(undefined, 0),
    maxMessageBytes,
  });
  return { publisher, sent };
}

function change(key: string, bytes: number): ChangeMessage {
  return { key, value: Buffer.alloc(bytes), partition: 3, headers: {} };
}

test('changes, seals and the state are one transaction and one request', async () => {
  const { publisher, sent } = setUp(1_000_000);
  const batch = createBatch();
  batch.changes.push(change('a', 10), change('b', 10));
  batch.seals.push({ jobId: 'exp_1', token: 't', commitLsn: 9n });
  await publisher.publish(batch, PROGRESS);
  expect(sent.length).toBe(1);
  expect(sent[0]?.map((request) => request.map(({ topic, messages }) => [topic, messages.length]))).toEqual([
    [
      ['t.changes', 2],
      ['t.jobs', 1],
      ['t.capture', 1],
    ],
  ]);
});

test('a position that moved without changes is published by itself', async () => {
  const { publisher, sent } = setUp(1_000_000);
  await publisher.publish(createBatch(), PROGRESS);
  expect(sent[0]?.map((request) => request.map(({ topic }) => topic))).toEqual([['t.capture']]);
});

test('more than the topic takes at once goes in several requests of one transaction, the state last', async () => {
  const { publisher, sent } = setUp(3_000);
  const batch = createBatch();
  batch.changes.push(change('a', 900), change('b', 900), change('c', 900));
  await publisher.publish(batch, PROGRESS);
  expect(sent.length).toBe(1);
  const requests = sent[0] ?? [];
  expect(
    requests.flatMap((request) => request.flatMap(({ messages }) => messages.map(({ key }) => key))),
  ).toEqual(['a', 'b', 'c', 's']);
  expect(requests.length).toBe(3);
});
