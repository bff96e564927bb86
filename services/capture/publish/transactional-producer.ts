import type { RecordMetadata, TopicMessages } from 'kafkajs';

/** A transactional producer that commits one transaction after the other. */
export interface TransactionalProducer {
  /**
   * Sends the requests one after the other in one transaction, and resolves once it is committed. After an error the outcome
   * is unknown, and the producer is unusable.
   *
   * @returns the offsets of the last request's records
   */
  publish(requests: readonly TopicMessages[][]): Promise<RecordMetadata[]>;
}

/**
 * The producers of these IDs, connected: every earlier producer of the same IDs is fenced, and what those had open is
 * ended.
 */
export interface TransactionalProducers {
  readonly producers: readonly TransactionalProducer[];
  close(): Promise<void>;
}
