import type { Log } from '../runtime/log.ts';
import type { KafkaConfig } from './client-config.ts';
import type { KafkaClient } from './kafka-client.ts';
import { createKafkaJsClient } from './kafkajs/kafkajs-client.ts';

/**
 * The client that the settings choose.
 *
 * @throws SetupError when a file of certificates can't be read
 */
export function createKafka(config: KafkaConfig, clientId: string, log: Log): KafkaClient {
  return createKafkaJsClient(config, clientId, log);
}
