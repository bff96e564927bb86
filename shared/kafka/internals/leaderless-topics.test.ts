import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { acceptLeaderlessTopics } from './leaderless-topics.ts';

const metadata = createRequire(import.meta.url)('kafkajs/src/protocol/requests/metadata/index.js');

/** What brokers give of a topic whose only replica is away, and one that this user may not see. */
const leaderless = { topic: 'a', topicErrorCode: 0, partitionMetadata: [{ partitionErrorCode: 5 }] };
const unborn = { topic: 'b', topicErrorCode: 5, partitionMetadata: [] };
const forbidden = { topic: 'c', topicErrorCode: 29, partitionMetadata: [] };

const parse = (topics: readonly string[], topicMetadata: readonly object[]) =>
  metadata
    .protocol({ version: 6 })({ topics })
    .response.parse({ brokers: [{ nodeId: 1 }], topicMetadata });

test('a topic without a leader fails the question about it, and not that about the whole cluster', async () => {
  acceptLeaderlessTopics();
  acceptLeaderlessTopics();
  for (const topic of [leaderless, unborn]) {
    await expect(parse(['a'], [topic])).rejects.toMatchObject({ type: 'LEADER_NOT_AVAILABLE' });
    // Whole: who lists topics sees it too.
    expect(await parse([], [topic])).toEqual({ brokers: [{ nodeId: 1 }], topicMetadata: [topic] });
  }
  await expect(parse([], [leaderless, forbidden])).rejects.toMatchObject({
    type: 'TOPIC_AUTHORIZATION_FAILED',
  });
});
