import type { EnvReader } from '../runtime/env.ts';

/** How an operator wants the topics to be. 0 leaves a number to the cluster. */
export interface TopicSettings {
  /** Whether a service creates topics that are missing. `tandem topics apply` creates them in any case. */
  readonly createTopics: boolean;
  readonly replicationFactor: number;
  readonly minInsyncReplicas: number;
  /** Of topics whose records hold whole rows. */
  readonly maxMessageBytes: number;
}

export const CLUSTER_DECIDES: TopicSettings = {
  createTopics: true,
  replicationFactor: 0,
  minInsyncReplicas: 0,
  maxMessageBytes: 0,
};

/** A broker refuses more in one request, whatever its settings. */
const MAX_MESSAGE_BYTES = 1_073_741_824;

/** `KAFKA_CREATE_TOPICS`, `KAFKA_REPLICATION_FACTOR`, `KAFKA_MIN_INSYNC_REPLICAS` and `KAFKA_MAX_MESSAGE_BYTES`. */
export function readTopicSettings(read: EnvReader): TopicSettings {
  const replicationFactor = read.integer('KAFKA_REPLICATION_FACTOR', { default: 0, min: 0, max: 9 });
  const minInsyncReplicas = read.integer('KAFKA_MIN_INSYNC_REPLICAS', { default: 0, min: 0, max: 9 });
  if (replicationFactor > 0 && minInsyncReplicas > replicationFactor) {
    read.refuse(
      `KAFKA_MIN_INSYNC_REPLICAS must not be more than KAFKA_REPLICATION_FACTOR, which is ${replicationFactor}`,
    );
  }
  return {
    createTopics: read.boolean('KAFKA_CREATE_TOPICS', true),
    replicationFactor,
    minInsyncReplicas,
    maxMessageBytes: read.integer('KAFKA_MAX_MESSAGE_BYTES', { default: 0, min: 0, max: MAX_MESSAGE_BYTES }),
  };
}
