import { readFileSync } from 'node:fs';
import { Kafka, logLevel } from 'kafkajs';
import type { EnvReader } from '../runtime/env.ts';
import { SetupError } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import { fetchInSessions } from './internals/fetch-sessions.ts';
import { acceptLeaderlessTopics } from './internals/leaderless-topics.ts';
import { makeClientLean } from './internals/lean-client.ts';
import { quietTimers } from './internals/quiet-timers.ts';
import {
  createThrottleReport,
  reportThrottles,
  THROTTLED,
  type Throttle,
} from './internals/report-throttle.ts';
import { readLogin, type SaslConfig, toClientLogin } from './login/login.ts';

/** `plain`: kafkajs by its public interface alone; `tuned`: with the parts of `internals/`. Both write and read the same bytes. */
export type KafkaClientKind = 'tuned' | 'plain';

export interface KafkaConfig {
  client: KafkaClientKind;
  brokers: readonly string[];
  ssl: boolean;
  /** Paths of PEM files. */
  tls?: TlsFiles;
  sasl: SaslConfig | undefined;
}

interface TlsFiles {
  /** Authorities in place of Node's own list. */
  readonly ca: string | undefined;
  /** Of this client, for a broker that asks for one. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** `KAFKA_BROKERS`, `KAFKA_CLIENT`, and for a secured cluster `KAFKA_SSL` and `KAFKA_SASL_MECHANISM` with what belongs to them. */
export function readKafkaConfig(read: EnvReader): KafkaConfig {
  const brokers = read.list('KAFKA_BROKERS');
  const ssl = read.boolean('KAFKA_SSL', false);
  const tls = {
    ca: read.optional('KAFKA_SSL_CA_FILE'),
    cert: read.optional('KAFKA_SSL_CERT_FILE'),
    key: read.optional('KAFKA_SSL_KEY_FILE'),
  };
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    read.refuse('KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE must be set together');
  }
  return {
    client: read.oneOf('KAFKA_CLIENT', ['tuned', 'plain'], 'tuned'),
    brokers,
    ssl,
    tls,
    sasl: readLogin(read, { brokers, ssl }),
  };
}

/** @throws SetupError when a file can't be read */
function readTls({ ssl, tls = { ca: undefined, cert: undefined, key: undefined } }: KafkaConfig) {
  if (!ssl) return false;
  const readPem = (name: string, path: string | undefined) => {
    if (path === undefined) return {};
    try {
      return { [name]: readFileSync(path, 'utf8') };
    } catch (cause) {
      throw new SetupError(`KAFKA_SSL_${name.toUpperCase()}_FILE can't be read: ${(cause as Error).message}`);
    }
  };
  return { ...readPem('ca', tls.ca), ...readPem('cert', tls.cert), ...readPem('key', tls.key) };
}

/**
 * A client whose own log lines join ours. Retries are many and short: a broker that restarts is waited for,
 * and the consumer of a service that can't reach it says so in the log rather than dying at once.
 *
 * @throws SetupError when a file of certificates can't be read
 */
export function createKafka(config: KafkaConfig, clientId: string, log: Log): Kafka {
  if (config.client === 'tuned') {
    makeClientLean();
    acceptLeaderlessTopics();
    fetchInSessions();
    quietTimers();
    reportThrottles();
  }
  const reportThrottle = createThrottleReport(log, Date.now);
  return new Kafka({
    clientId,
    brokers: [...config.brokers],
    ssl: readTls(config),
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
}
