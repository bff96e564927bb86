import type { Kafka } from 'kafkajs';
import type { KafkaAdmin, TransactionTime, TransactionTimes } from '../kafka-client.ts';
import { onFirstPartition } from './first-partition.ts';

/** Most transactions of capture are a record and its end. */
const RECORDS = 100n;
const MAX_BYTES = 4 * 1024 * 1024;

interface Record {
  readonly timestamp: string;
  readonly isControlRecord: boolean;
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
  return onFirstPartition(kafka, topic, async ({ brokerId, fetch }) => {
    if (high === low) return { brokerId, transactions: [] };
    const from = high - low > RECORDS ? high - RECORDS : low;
    return { brokerId, transactions: pairUp(await fetch(from, MAX_BYTES)) };
  });
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
