import type { KafkaAdmin } from './kafka-client.ts';

/** A partition as the cluster sees it. */
export interface ClusterPartition {
  /** `topic/number`. */
  readonly partition: string;
  /** Below 0: it has none, so it takes no records and gives none. */
  readonly leader: number;
  /** IDs of the brokers that are to have it, and of those that have all of it. */
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
}

/** Of the whole cluster, by topic: a question that names a topic without a leader fails. */
export async function readPartitions(
  admin: KafkaAdmin,
): Promise<ReadonlyMap<string, readonly ClusterPartition[]>> {
  const { topics } = await admin.fetchTopicMetadata();
  return new Map(
    topics.map(({ name, partitions }) => [
      name,
      partitions
        .toSorted((a, b) => a.partitionId - b.partitionId)
        .map(({ partitionId, leader, replicas, isr }) => ({
          partition: `${name}/${partitionId}`,
          leader,
          replicas,
          isr,
        })),
    ]),
  );
}

const SHOWN = 5;

/** Some of them, for a line of text. */
export function few(names: readonly string[]): string {
  return `${names.slice(0, SHOWN).join(', ')}${names.length > SHOWN ? ', …' : ''}`;
}
