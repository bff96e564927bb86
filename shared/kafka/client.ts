import type { Log } from '../runtime/log.ts';
import type { KafkaConfig } from './client-config.ts';
import type { KafkaClient } from './kafka-client.ts';
import { createKafkaJsClient } from './kafkajs/kafkajs-client.ts';
import { createPlatformaticClient } from './platformatic/platformatic-client.ts';

/**
 * The client that the settings choose.
 *
 * @throws SetupError when a file of certificates can't be read, or this Node is too old for the client
 */
export function createKafka(config: KafkaConfig, clientId: string, log: Log): KafkaClient {
  const create = config.client === 'platformatic' ? createPlatformaticClient : createKafkaJsClient;
  return create(config, clientId, log);
}
