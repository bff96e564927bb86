import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

const METADATA = 'kafkajs/src/protocol/requests/metadata/index.js';

const LEADER_NOT_AVAILABLE = 5;

interface TopicMetadata {
  readonly topicErrorCode: number;
  readonly partitionMetadata: readonly { readonly partitionErrorCode: number }[];
}

interface MetadataAnswer {
  readonly topicMetadata: readonly TopicMetadata[];
}

interface MetadataRequest {
  readonly topics: readonly string[];
}

interface Exchange {
  readonly request: unknown;
  readonly response: {
    readonly decode: unknown;
    readonly parse: (answer: MetadataAnswer) => Promise<MetadataAnswer>;
  };
}

interface MetadataProtocol {
  protocol(version: object): (request: MetadataRequest) => Exchange;
}

let isDone = false;

/**
 * Lets a question about the whole cluster be answered while some topic is without a leader. kafkajs asks it to find brokers,
 * before it knows any topic, and takes one such partition for a failure of everything. So one dead broker would end a service
 * for good, by a topic of somebody else's that had its only replica there. What is asked by a topic's name fails as before.
 * Safe to call again.
 */
export function acceptLeaderlessTopics(): void {
  if (isDone) return;
  isDone = true;
  const metadata: MetadataProtocol = require(METADATA);
  const original = metadata.protocol;
  metadata.protocol = (version) => (request) => {
    const exchange = original(version)(request);
    if (request.topics.length > 0) return exchange;
    const { decode, parse } = exchange.response;
    return {
      request: exchange.request,
      response: {
        decode,
        async parse(answer) {
          const topicMetadata = answer.topicMetadata.filter((topic) => !isLeaderless(topic));
          await parse({ ...answer, topicMetadata });
          return answer;
        },
      },
    };
  };
}

function isLeaderless({ topicErrorCode, partitionMetadata }: TopicMetadata): boolean {
  return (
    topicErrorCode === LEADER_NOT_AVAILABLE ||
    partitionMetadata.some(({ partitionErrorCode }) => partitionErrorCode === LEADER_NOT_AVAILABLE)
  );
}
