import { SetupError } from '../../../shared/runtime/errors.ts';

export interface PartitionReplicas {
  readonly partitionId: number;
  readonly replicas: readonly number[];
}

export interface Reassignment {
  topic: string;
  partitionAssignment: { partition: number; replicas: number[] }[];
}

/**
 * Where each partition's replicas shall be: where they are, and on further brokers, those with the fewest first. The first replica
 * stays, so that the leader does.
 *
 * @param brokers IDs of all brokers
 * @throws SetupError when there are fewer brokers than replicas wanted
 */
export function spreadReplicas(
  topics: readonly { readonly name: string; readonly partitions: readonly PartitionReplicas[] }[],
  brokers: readonly number[],
  count: number,
): Reassignment[] {
  if (brokers.length < count) {
    throw new SetupError(
      `topics cannot have ${count} replicas: the cluster has ${brokers.length} brokers. Set KAFKA_REPLICATION_FACTOR, or start the others`,
    );
  }
  const load = new Map(brokers.map((broker) => [broker, 0]));
  const add = (broker: number) => load.set(broker, (load.get(broker) ?? 0) + 1);
  for (const { partitions } of topics) for (const { replicas } of partitions) replicas.forEach(add);
  return topics.map(({ name, partitions }) => ({
    topic: name,
    partitionAssignment: partitions
      .filter(({ replicas }) => replicas.length < count)
      .map(({ partitionId, replicas }) => {
        const others = brokers
          .filter((broker) => !replicas.includes(broker))
          .sort((a, b) => (load.get(a) ?? 0) - (load.get(b) ?? 0) || a - b);
        const added = others.slice(0, count - replicas.length);
        added.forEach(add);
        return { partition: partitionId, replicas: [...replicas, ...added] };
      }),
  }));
}
