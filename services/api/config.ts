import { readHandlerSecrets } from '../../shared/bulk/handler-secrets.ts';
import type { SlotThresholds } from '../../shared/catalog/slot-health.ts';
import { readSlotThresholds } from '../../shared/catalog/slot-watch.ts';
import { type ControlMigrations, readControlMigrations } from '../../shared/control/migrate.ts';
import { type Cidr, parseCidr } from '../../shared/domain/address-rules.ts';
import { type KafkaConfig, readKafkaConfig } from '../../shared/kafka/client.ts';
import { type Env, envReader, type Secret } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { findKeyProblems, readSecretKeys, type SecretKeys } from '../../shared/runtime/secret-keys.ts';

export interface ApiConfig {
  readonly sourceUrl: Secret;
  readonly controlUrl: Secret;
  readonly controlMigrations: ControlMigrations;
  readonly kafka: KafkaConfig;
  readonly schemaRegistryUrl: Secret;
  readonly storageUrl: Secret;
  readonly catalogPath: string;
  readonly topicPrefix: string;
  readonly slotName: string;
  readonly slotThresholds: SlotThresholds;
  readonly host: string;
  readonly port: number;
  /** Where clients reach this API; undefined: where it listens. */
  readonly publicUrl: string | undefined;
  readonly adminKey: Secret;
  readonly secretKeys: SecretKeys;
  readonly allowNetworks: readonly Cidr[];
  readonly allowHttp: boolean;
  readonly feedStallSeconds: number;
  readonly eventRetentionDays: number;
  readonly urlLifetimeSeconds: number;
  readonly maxBodyBytes: number;
  readonly requestsPerSecond: number;
  readonly maxOpenRequests: number;
  readonly maxDownloads: number;
  readonly maxQueuedExports: number;
  readonly maxQueuedBulk: number;
  readonly syncHandlerMs: number;
  /** What requests to handlers are signed with. */
  readonly handlerSecrets: readonly Secret[];
}

const LEAST_ADMIN_KEY_CHARACTERS = 16;

const MINUTE_SECONDS = 60;
const DAY_SECONDS = 86_400;

/** @throws SetupError naming everything that is missing or wrong */
export function readApiConfig(env: Env, read = envReader(env)): ApiConfig {
  const config = read.done({
    sourceUrl: read.secret('DATABASE_URL'),
    controlUrl: read.secret('CONTROL_DATABASE_URL', 'DATABASE_URL'),
    controlMigrations: readControlMigrations(read),
    kafka: readKafkaConfig(read),
    schemaRegistryUrl: read.url('SCHEMA_REGISTRY_URL'),
    storageUrl: read.url('STORAGE_URL'),
    catalogPath: read.string('CATALOG'),
    topicPrefix: read.string('TOPIC_PREFIX', 'tandem'),
    slotName: read.string('SLOT_NAME', 'tandem'),
    slotThresholds: readSlotThresholds(read),
    feedStallSeconds: read.integer('FEED_STALL_SECONDS', { default: 120, min: 20, max: 86_400 }),
    host: read.string('HOST', '127.0.0.1'),
    port: read.integer('PORT', { default: 8080, min: 0, max: 65_535 }),
    publicUrl: read.optional('PUBLIC_URL')?.replace(/\/+$/, ''),
    adminKey: read.secret('ADMIN_KEY'),
    secretKeys: readSecretKeys(read),
    allowNetworks: read.list('DELIVERY_ALLOW_NETWORKS', []),
    allowHttp: read.boolean('DELIVERY_ALLOW_HTTP', false),
    eventRetentionDays: read.integer('EVENT_RETENTION_DAYS', { default: 30, min: 2, max: 3_650 }),
    // S3 signs no longer than seven days, and a link must not change its meaning with the storage.
    urlLifetimeSeconds: read.integer('DOWNLOAD_URL_SECONDS', {
      default: DAY_SECONDS,
      min: MINUTE_SECONDS,
      max: 7 * DAY_SECONDS,
    }),
    maxBodyBytes: read.integer('MAX_BODY_BYTES', {
      default: 256 * 1_024,
      min: 1_024,
      max: 64 * 1_024 * 1_024,
    }),
    requestsPerSecond: read.integer('API_REQUESTS_PER_SECOND', { default: 300, min: 1, max: 100_000 }),
    maxOpenRequests: read.integer('API_MAX_OPEN_REQUESTS', { default: 50, min: 1, max: 4_000 }),
    maxDownloads: read.integer('API_MAX_DOWNLOADS', { default: 16, min: 1, max: 4_000 }),
    maxQueuedExports: read.integer('MAX_QUEUED_EXPORTS', { default: 20, min: 1, max: 10_000 }),
    maxQueuedBulk: read.integer('MAX_QUEUED_BULK', { default: 100, min: 1, max: 10_000 }),
    handlerSecrets: readHandlerSecrets(read),
    // The control store ends a transaction that is idle for 30 s, and the request's own is until the answer.
    syncHandlerMs: read.integer('BULK_SYNC_HANDLER_MS', { default: 20_000, min: 100, max: 25_000 }),
  });
  const problems: string[] = [];
  const allowNetworks = config.allowNetworks.flatMap((text) => {
    try {
      return [parseCidr(text)];
    } catch {
      problems.push(`DELIVERY_ALLOW_NETWORKS holds "${text}", which is no network such as 127.0.0.0/8`);
      return [];
    }
  });
  if (config.publicUrl !== undefined && !/^https?:\/\/[^/?#]+[^?#]*$/.test(config.publicUrl)) {
    problems.push(`PUBLIC_URL must be an http or https URL without query, not "${config.publicUrl}"`);
  }
  problems.push(...findKeyProblems(config.secretKeys));
  if (config.adminKey.reveal().length < LEAST_ADMIN_KEY_CHARACTERS) {
    problems.push(
      `ADMIN_KEY must have at least ${LEAST_ADMIN_KEY_CHARACTERS} characters; make one with: openssl rand -hex 32`,
    );
  }
  if (/[^\x21-\x7e]/.test(config.adminKey.reveal())) {
    problems.push('ADMIN_KEY must be printable ASCII without spaces, since it travels in a header');
  }
  if (problems.length > 0) throw new SetupError('the settings are not usable', problems);
  return { ...config, allowNetworks };
}
