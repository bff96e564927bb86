import type { Admin, Kafka } from 'kafkajs';
import { findCreateCluster } from './cluster.ts';

/** `isolation_level` 0 in Kafka's protocol: what no transaction has decided on yet counts, too. */
const READ_UNCOMMITTED = 0;

/**
 * An admin client to whom a partition ends where its last record is. kafkajs gives an admin no choice, and has it ask for
 * the last *stable* offset, which stands still before a transaction until its marker is written to that partition;
 * and a committed transaction's markers reach its partitions one by one.
 *
 * @throws Error when kafkajs is made otherwise than the version this was written for
 */
export function createUncommittedAdmin(kafka: Kafka): Admin {
  const { key, create } = findCreateCluster(kafka);
  const uncommitted: Kafka = Object.create(kafka, {
    [key]: { value: (options: object) => create({ ...options, isolationLevel: READ_UNCOMMITTED }) },
  });
  return uncommitted.admin();
}
