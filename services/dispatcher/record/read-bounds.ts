import type { KafkaAdmin } from '../../../shared/kafka/kafka-client.ts';

/** Where the partitions of a topic begin and end, and how far a group has read them. */
export interface ReadBounds {
  /** The next offset to read of each partition that the group has ever committed one of; below 0 where it begins anew. */
  committed(): Promise<ReadonlyMap<number, bigint>>;
  /** Each partition's first offset, and the one behind its last. */
  ends(): Promise<ReadonlyMap<number, PartitionEnds>>;
}

export interface PartitionEnds {
  readonly low: bigint;
  readonly high: bigint;
}

/** What kafkajs says where a group has no offset. */
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
