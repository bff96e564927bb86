import { type ControlMigrations, readControlMigrations } from '../../shared/control/migrate.ts';
import { type Cidr, parseCidr } from '../../shared/domain/address-rules.ts';
import { type KafkaConfig, readKafkaConfig } from '../../shared/kafka/client.ts';
import { type Env, envReader, type Secret } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { findKeyProblems, readSecretKeys, type SecretKeys } from '../../shared/runtime/secret-keys.ts';
import { RETRY_DELAYS_MS } from './deliver/retry-policy.ts';

export interface DispatcherConfig {
  readonly controlDatabaseUrl: Secret;
  readonly controlMigrations: ControlMigrations;
  readonly kafka: KafkaConfig;
  readonly schemaRegistryUrl: Secret;
  /** Path of the catalog file. */
  readonly catalog: string;
  readonly topicPrefix: string;
  readonly secretKeys: SecretKeys;
  readonly allowNetworks: readonly Cidr[];
  readonly allowHttp: boolean;
  /** What sends the requests; both do the same. */
  readonly sender: 'undici' | 'got';
  readonly deliveryTimeoutMs: number;
  readonly retryDelaysMs: readonly number[];
  /** Requests of this process under way at once, over all endpoints. */
  readonly maxInFlight: number;
  readonly eventRetentionDays: number;
  readonly host: string;
  readonly healthPort: number;
}

export function readDispatcherConfig(env: Env, read = envReader(env)): DispatcherConfig {
  const schedule = read.list(
    'RETRY_SCHEDULE_SECONDS',
    RETRY_DELAYS_MS.map((delayMs) => String(delayMs / 1_000)),
  );
  const networks = read.list('DELIVERY_ALLOW_NETWORKS', []);
  const config = read.done({
    controlDatabaseUrl: read.secret('CONTROL_DATABASE_URL', 'DATABASE_URL'),
    controlMigrations: readControlMigrations(read),
    kafka: readKafkaConfig(read),
    schemaRegistryUrl: read.url('SCHEMA_REGISTRY_URL'),
    catalog: read.string('CATALOG'),
    topicPrefix: read.string('TOPIC_PREFIX', 'tandem'),
    secretKeys: readSecretKeys(read),
    allowHttp: read.boolean('DELIVERY_ALLOW_HTTP', false),
    sender: read.oneOf('DELIVERY_SENDER', ['undici', 'got'], 'undici'),
    deliveryTimeoutMs: read.integer('DELIVERY_TIMEOUT_MS', { default: 15_000, min: 100, max: 60_000 }),
    maxInFlight: read.integer('DELIVERY_MAX_IN_FLIGHT', { default: 1_000, min: 1, max: 20_000 }),
    eventRetentionDays: read.integer('EVENT_RETENTION_DAYS', { default: 30, min: 1, max: 3_650 }),
    host: read.string('HOST', '127.0.0.1'),
    healthPort: read.integer('HEALTH_PORT', { default: 0, min: 0, max: 65_535 }),
  });
  const keyProblems = findKeyProblems(config.secretKeys);
  if (keyProblems.length > 0) throw new SetupError('the settings are not usable', keyProblems);
  return { ...config, allowNetworks: networks.map(toNetwork), retryDelaysMs: schedule.map(toDelayMs) };
}

const MAX_RETRY_DELAY_SECONDS = 7 * 24 * 60 * 60;

function toDelayMs(text: string): number {
  const seconds = Number(text);
  if (seconds > 0 && seconds <= MAX_RETRY_DELAY_SECONDS) return seconds * 1_000;
  throw new SetupError('the settings are not usable', [
    `RETRY_SCHEDULE_SECONDS must list seconds between attempts like 5,300,1800, not "${text}"`,
  ]);
}

function toNetwork(text: string): Cidr {
  try {
    return parseCidr(text);
  } catch {
    throw new SetupError('the settings are not usable', [
      `DELIVERY_ALLOW_NETWORKS must list networks like 10.0.0.0/8, not "${text}"`,
    ]);
  }
}
