import type { Kafka } from 'kafkajs';
import type { KafkaAdmin, TransactionTime, TransactionTimes } from '../kafka-client.ts';
import { type Broker, createCluster } from './cluster.ts';

/** Most transactions of capture are a record and its end. */
const RECORDS = 100n;
const MAX_BYTES = 4 * 1024 * 1024;
const WAIT_MS = 500;
const READ_UNCOMMITTED = 0;

interface Record {
  readonly timestamp: string;
  readonly isControlRecord: boolean;
}

/** A broker of kafkajs's, as far as one partition is read without a consumer. */
interface ReadingBroker extends Broker {
  fetch(request: object): Promise<{
    readonly responses: readonly {
      readonly partitions: readonly { readonly messages: readonly Record[] }[];
    }[];
  }>;
}

/**
 * The last transactions in the first partition of a topic. A broker shows its clock nowhere else: a record has its
 * writer's time, and the end of a transaction, which consumers never see, has the broker's.
 */
export async function readTransactionTimes(
  kafka: Kafka,
  admin: Pick<KafkaAdmin, 'fetchTopicOffsets'>,
  topic: string,
): Promise<TransactionTimes> {
  const [offsets] = await admin.fetchTopicOffsets(topic);
  const [low, high] = [BigInt(offsets?.low ?? 0), BigInt(offsets?.high ?? 0)];
  const cluster = createCluster(kafka);
  try {
    await cluster.connect();
    await cluster.addMultipleTargetTopics([topic]);
    const partition = 0;
    const found = cluster
      .findTopicPartitionMetadata(topic)
      .find(({ partitionId }) => partitionId === partition);
    const brokerId = found?.leader ?? -1;
    if (high === low) return { brokerId, transactions: [] };
    const broker = (await cluster.findBroker({ nodeId: brokerId })) as ReadingBroker;
    const fetchOffset = String(high - low > RECORDS ? high - RECORDS : low);
    const { responses } = await broker.fetch({
      isolationLevel: READ_UNCOMMITTED,
      maxWaitTime: WAIT_MS,
      minBytes: 1,
      maxBytes: MAX_BYTES,
      topics: [{ topic, partitions: [{ partition, fetchOffset, maxBytes: MAX_BYTES }] }],
    });
    return { brokerId, transactions: pairUp(responses[0]?.partitions[0]?.messages ?? []) };
  } finally {
    await cluster.disconnect().catch(() => undefined);
  }
}

function pairUp(records: readonly Record[]): TransactionTime[] {
  const found: TransactionTime[] = [];
  let before: Record | undefined;
  for (const record of records) {
    if (record.isControlRecord && before?.isControlRecord === false) {
      found.push({ writerAtMs: Number(before.timestamp), brokerAtMs: Number(record.timestamp) });
    }
    before = record;
  }
  return found;
}
