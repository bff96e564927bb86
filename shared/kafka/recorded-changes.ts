import type { KafkaAdmin } from './kafka-client.ts';

/** Where a topic's partitions ended at some moment. */
export type TopicEnd = ReadonlyMap<number, bigint>;

/** How far the changes topic has been recorded in the event log. */
export interface RecordedChanges {
  /** Where the topic ends now. Asked for once the feed has passed a seal, everything before the seal is before it. */
  end(): Promise<TopicEnd>;
  /** What of it is not recorded yet, as `partition:offset` texts that change as recording goes on; empty for nothing. */
  missing(end: TopicEnd): Promise<string[]>;
}

/**
 * Capture writes changes in the Kafka transaction of the seal behind them, or in an earlier one, so who knows of the seal
 * finds the changes before the topic's end; "uncommitted", because a partition may learn last that the transaction
 * is committed. The recorder's committed offset follows its insert into the event log.
 *
 * @param admin an `uncommittedAdmin`
 */
export function createRecordedChanges(
  admin: Pick<KafkaAdmin, 'fetchTopicOffsets' | 'fetchOffsets'>,
  topic: string,
  groupId: string,
): RecordedChanges {
  return {
    async end() {
      const partitions = await admin.fetchTopicOffsets(topic);
      // Of an empty partition, or one whose records are all past their time, there is nothing to wait for.
      return new Map(
        partitions
          .filter(({ low, high }) => BigInt(low) < BigInt(high))
          .map(({ partition, high }) => [partition, BigInt(high)]),
      );
    },
    async missing(end) {
      const [found] = await admin.fetchOffsets({ groupId, topics: [topic] });
      const committed = new Map(
        found?.partitions.map(({ partition, offset }) => [partition, BigInt(offset)]),
      );
      return [...end]
        .filter(([partition, offset]) => (committed.get(partition) ?? -1n) < offset)
        .map(([partition]) => `${partition}:${committed.get(partition) ?? -1n}`);
    },
  };
}
