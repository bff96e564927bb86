import { describe, expect, test } from 'vitest';
import type { TopicMessages } from '../../../shared/kafka/kafka-client.ts';
import type { MessageCodec } from '../../../shared/kafka/messages.ts';
import { topicsOf } from '../../../shared/kafka/topics.ts';
import { readChainLink } from '../../../shared/protocol/headers.ts';
import type { ChangeMessage } from '../changes/collect-changes.ts';
import { createBatch } from '../changes/collect-changes.ts';
import type { CaptureProgress } from './capture-progress.ts';
import { createChangeChain, createPublisher } from './publisher.ts';
import { createTableListing } from './table-records.ts';

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
  schemaId: async () => 1,
  decode: async () => undefined,
};

function setUp(maxMessageBytes: number) {
  const sent: TopicMessages[][][] = [];
  const publisher = createPublisher({
    producers: {
      count: 1,
      publish: async (requests) => {
        sent.push(requests.filter((request) => typeof request !== 'function'));
        return [];
      },
      close: async () => undefined,
    },
    codec,
    topics: TOPICS,
    slotName: 's',
    chain: createChangeChain(undefined, 0),
    tables: createTableListing({ name: 'c', resources: [] }),
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

describe('change chain', () => {
  const change = (partition: number) => ({
    key: 'k',
    value: Buffer.alloc(1),
    partition,
    headers: { op: 'insert' },
  });

  test('each partition is counted from 1, and goes on from the state that was stored', () => {
    const chain = createChangeChain(undefined, 1_700_000_000_000);
    const { id } = chain.state();
    const seqs = (of: ReturnType<typeof createChangeChain>, ...partitions: number[]) =>
      of.link(partitions.map(change)).map(({ headers }) => readChainLink(headers)?.seq);
    expect(seqs(chain, 3, 3, 0)).toEqual([1, 2, 1]);
    const state = chain.state();
    expect(state.seqs).toEqual([1, 0, 0, 2]);
    expect(seqs(chain, 3)).toEqual([3]);
    const again = createChangeChain(state, 0);
    expect(again.state().id).toBe(id);
    expect(seqs(again, 3, 1)).toEqual([3, 1]);
    expect(createChangeChain(undefined, 1_700_000_000_001).state().id > id).toBe(true);
  });
});
