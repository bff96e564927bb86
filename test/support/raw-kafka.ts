import { Kafka, logLevel } from 'kafkajs';

/** kafkajs itself, for what no service does: to delete, to abort, to look from outside. */
export function rawKafka(brokers: string): Kafka {
  return new Kafka({
    clientId: 'test',
    brokers: brokers.split(','),
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 20, maxRetryTime: 1_000 },
  });
}
