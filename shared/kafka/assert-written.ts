import { KafkaError, type WrittenRecords } from './kafka-client.ts';

interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/**
 * kafkajs 2.2.4 remembers the responses to a request by broker. When one broker fails and its partitions move to another
 * that has responded already, `sendBatch` resolves without their records (`producer/sendMessages.js`). So a caller that sends
 * to several partitions at once compares what was sent with what was written.
 *
 * @throws KafkaError naming the partitions without a response: nothing is known of their records
 */
export function assertWritten(sent: readonly TopicPartition[], written: readonly WrittenRecords[]): void {
  const known = new Set(written.map(({ topicName, partition }) => `${topicName}/${partition}`));
  const missing = sent
    .map(({ topic, partition }) => `${topic}/${partition}`)
    .filter((name) => !known.has(name));
  if (missing.length > 0) {
    throw new KafkaError(`a leader moved, and records were not sent: ${missing.slice(0, 5).join(', ')}`);
  }
}
