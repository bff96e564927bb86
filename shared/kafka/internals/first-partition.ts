import type { Kafka } from 'kafkajs';
import type { ReceivedMessage } from '../kafka-client.ts';
import { type Broker, createCluster } from './cluster.ts';

const WAIT_MS = 500;
const READ_UNCOMMITTED = 0;
/** A broker responds with at least one batch, however large it is. */
const ONE_BATCH_BYTES = 1;

interface FetchedRecord extends ReceivedMessage {
  readonly isControlRecord: boolean;
}

/** A broker of kafkajs's, as far as one partition is read without a consumer. */
interface ReadingBroker extends Broker {
  fetch(request: object): Promise<{
    readonly responses: readonly {
      readonly partitions: readonly { readonly messages: readonly FetchedRecord[] }[];
    }[];
  }>;
}

/** The first partition of a topic at its leader. */
export interface FirstPartition {
  readonly brokerId: number;
  /** The records of the batches from this offset on, uncommitted ones and the ends of transactions too. */
  fetch(offset: bigint, maxBytes: number): Promise<readonly FetchedRecord[]>;
}

/** Reads the first partition of a topic without a consumer, over connections that are closed afterwards. */
export async function onFirstPartition<T>(
  kafka: Kafka,
  topic: string,
  read: (partition: FirstPartition) => Promise<T>,
): Promise<T> {
  const cluster = createCluster(kafka);
  try {
    await cluster.connect();
    await cluster.addMultipleTargetTopics([topic]);
    const partition = 0;
    const found = cluster
      .findTopicPartitionMetadata(topic)
      .find(({ partitionId }) => partitionId === partition);
    const brokerId = found?.leader ?? -1;
    return await read({
      brokerId,
      async fetch(offset, maxBytes) {
        const broker = (await cluster.findBroker({ nodeId: brokerId })) as ReadingBroker;
        const { responses } = await broker.fetch({
          isolationLevel: READ_UNCOMMITTED,
          maxWaitTime: WAIT_MS,
          minBytes: 1,
          maxBytes,
          topics: [{ topic, partitions: [{ partition, fetchOffset: String(offset), maxBytes }] }],
        });
        return responses[0]?.partitions[0]?.messages ?? [];
      },
    });
  } finally {
    await cluster.disconnect().catch(() => undefined);
  }
}

/** See `KafkaClient`. */
export function readRecords(
  kafka: Kafka,
  topic: string,
  offsets: readonly number[],
): Promise<(ReceivedMessage | undefined)[]> {
  return onFirstPartition(kafka, topic, async ({ fetch }) => {
    const records: (ReceivedMessage | undefined)[] = [];
    for (const offset of offsets) {
      const batch = await fetch(BigInt(offset), ONE_BATCH_BYTES).catch(goneIfOutOfRange);
      records.push(batch.find((record) => record.offset === String(offset) && !record.isControlRecord));
    }
    return records;
  });
}

/** A topic that was made again may not reach so far, and one that was truncated may begin later. */
function goneIfOutOfRange(error: unknown): readonly FetchedRecord[] {
  if ((error as { type?: unknown }).type === 'OFFSET_OUT_OF_RANGE') return [];
  throw error;
}
