import type { KafkaAdmin } from '../../../shared/kafka/kafka-client.ts';

/** The bounds of a topic's partitions, and the offsets that a group has committed. */
export interface ReadBounds {
  /** The next offset to read, for each partition with a committed offset; below 0 where the group starts again. */
  committed(): Promise<ReadonlyMap<number, bigint>>;
  /** The first offset of each partition, and the one after its last. */
  ends(): Promise<ReadonlyMap<number, PartitionEnds>>;
}

export interface PartitionEnds {
  readonly low: bigint;
  readonly high: bigint;
}

/** The offset that kafkajs reports for a group without one. */
const NEVER_COMMITTED = -1n;

/** @param admin an `uncommittedAdmin` */
export function createReadBounds(
  admin: Pick<KafkaAdmin, 'fetchTopicOffsets' | 'fetchOffsets'>,
  topic: string,
  groupId: string,
): ReadBounds {
  return {
    async committed() {
      const [group] = await admin.fetchOffsets({ groupId, topics: [topic] });
      const offsets = group?.partitions.map(({ partition, offset }) => [partition, BigInt(offset)] as const);
      return new Map(offsets?.filter(([, offset]) => offset !== NEVER_COMMITTED));
    },
    async ends() {
      const found = await admin.fetchTopicOffsets(topic);
      return new Map(
        found.map(({ partition, low, high }) => [partition, { low: BigInt(low), high: BigInt(high) }]),
      );
    },
  };
}
