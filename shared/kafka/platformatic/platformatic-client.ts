import type { Log } from '../../runtime/log.ts';
import type { KafkaConfig } from '../client-config.ts';
import type { KafkaClient } from '../kafka-client.ts';
import { createKafkaJsClient } from '../kafkajs/kafkajs-client.ts';
import { createConsumer } from './consumer.ts';
import { requireNode, toBaseOptions } from './load.ts';
import { createProducer, openTransactionalProducers } from './producer.ts';

/**
 * `@platformatic/kafka` for everything that carries records. What only asks about the cluster, or sets it up, goes by kafkajs: it
 * is rare, and kafkajs tells best why a login fails.
 *
 * @throws SetupError when this Node is too old for it, or a file of certificates can't be read
 */
export function createPlatformaticClient(config: KafkaConfig, clientId: string, log: Log): KafkaClient {
  requireNode(process.versions.node);
  const { admin, uncommittedAdmin, apiVersions, transactionTimes, readRecords } = createKafkaJsClient(
    { ...config, client: 'tuned' },
    clientId,
    log,
  );
  const base = toBaseOptions(config, clientId);
  return {
    admin,
    uncommittedAdmin,
    apiVersions,
    transactionTimes,
    readRecords,
    producer: ({ retry, ...settings } = {}) =>
      createProducer(retry === undefined ? base : toBaseOptions(config, clientId, retry), settings),
    consumer: (settings) => createConsumer(base, settings, log),
    transactionalProducers: (ids) => openTransactionalProducers(base, ids),
  };
}
