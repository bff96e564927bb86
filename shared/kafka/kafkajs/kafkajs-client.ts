import { Kafka, logLevel, Partitioners } from 'kafkajs';
import type { Log } from '../../runtime/log.ts';
import { type KafkaConfig, readTls } from '../client-config.ts';
import { createAdmin } from '../internals/admin.ts';
import { readApiVersions } from '../internals/broker-versions.ts';
import { fetchInSessions } from '../internals/fetch-sessions.ts';
import { readRecords } from '../internals/first-partition.ts';
import { acceptLeaderlessTopics } from '../internals/leaderless-topics.ts';
import { makeClientLean } from '../internals/lean-client.ts';
import { quietTimers } from '../internals/quiet-timers.ts';
import {
  createThrottleReport,
  reportThrottles,
  THROTTLED,
  type Throttle,
} from '../internals/report-throttle.ts';
import { readTransactionTimes } from '../internals/transaction-times.ts';
import { openTunedProducers } from '../internals/transactional-producer.ts';
import type { KafkaClient } from '../kafka-client.ts';
import { toClientLogin } from '../login/login.ts';
import { addCodecs } from './codecs.ts';
import { createOrderedProducer } from './ordered-producer.ts';
import { openPlainProducers } from './plain-transactions.ts';

/**
 * kafkajs. Its own log lines join ours. Retries are many and short: a broker that restarts is waited for,
 * and the consumer of a service that can't reach it says so in the log rather than dying at once.
 *
 * @throws SetupError when a file of certificates can't be read
 */
export function createKafkaJsClient(config: KafkaConfig, clientId: string, log: Log): KafkaClient {
  addCodecs();
  const isTuned = config.client === 'tuned';
  if (isTuned) {
    makeClientLean();
    acceptLeaderlessTopics();
    fetchInSessions();
    quietTimers();
    reportThrottles();
  }
  const reportThrottle = createThrottleReport(log, Date.now);
  const kafka = new Kafka({
    clientId,
    brokers: [...config.brokers],
    ssl: readTls(config) ?? false,
    ...(config.sasl === undefined ? {} : { sasl: toClientLogin(config.sasl, log) }),
    connectionTimeout: 5_000,
    requestTimeout: 30_000,
    retry: { initialRetryTime: 20, factor: 0.2, multiplier: 2, maxRetryTime: 2_000, retries: 12 },
    logLevel: logLevel.WARN,
    logCreator:
      () =>
      ({ namespace, level, log: { message, timestamp: _at, logger: _logger, ...rest } }) => {
        if (message === THROTTLED) return reportThrottle(rest as unknown as Throttle);
        const write = level === logLevel.ERROR ? log.warn : log.debug;
        write('kafka.reported', { namespace, message, ...rest });
      },
  });
  return {
    admin: (options) => createAdmin(kafka, { log, ...options }),
    uncommittedAdmin: () => createAdmin(kafka, { log, isUncommitted: true }),
    producer: ({ idempotent = false, retry } = {}) => {
      const create = () =>
        kafka.producer({
          allowAutoTopicCreation: false,
          createPartitioner: Partitioners.DefaultPartitioner,
          ...(idempotent ? { idempotent, maxInFlightRequests: 1 } : {}),
          ...(retry === undefined ? {} : { retry }),
        });
      return idempotent ? createOrderedProducer(create) : create();
    },
    consumer: (settings) => kafka.consumer({ ...settings, allowAutoTopicCreation: false }),
    transactionalProducers: (ids) => (isTuned ? openTunedProducers : openPlainProducers)(kafka, ids),
    apiVersions: (nodeIds) => readApiVersions(kafka, nodeIds),
    transactionTimes: (admin, topic) => readTransactionTimes(kafka, admin, topic),
    readRecords: (topic, offsets) => readRecords(kafka, topic, offsets),
  };
}
