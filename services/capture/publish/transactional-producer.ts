import type { RecordMetadata, TopicMessages } from 'kafkajs';

/** A transactional producer that commits one transaction after the other. */
export interface TransactionalProducer {
  /**
   * Sends the requests one after the other in one transaction, and resolves once it is committed. After an error it
   * is not known whether it was, and the producer is of no further use.
   *
   * @returns where the last request's records are
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
