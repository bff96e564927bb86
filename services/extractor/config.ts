import { type ControlMigrations, readControlMigrations } from '../../shared/control/migrate.ts';
import { type KafkaConfig, readKafkaConfig } from '../../shared/kafka/client.ts';
import { type Env, envReader, type Secret } from '../../shared/runtime/env.ts';
import type { SettingName } from '../../shared/runtime/settings.ts';

export interface ExtractorConfig {
  readonly databaseUrl: Secret;
  readonly controlDatabaseUrl: Secret;
  readonly controlMigrations: ControlMigrations;
  readonly kafka: KafkaConfig;
  readonly schemaRegistryUrl: Secret;
  readonly catalogPath: string;
  readonly topicPrefix: string;
  readonly publicationName: string;
  readonly host: string;
  readonly healthPort: number;
  readonly maxExports: number;
  readonly maxChunks: number;
  readonly maxAllAccountExports: number;
  readonly chunkWindow: number;
  readonly chunkBytes: number;
  readonly exportTimeoutMs: number;
  readonly chunkTimeoutMs: number;
  readonly feedTimeoutMs: number;
  readonly settleTimeoutMs: number;
}

const MINUTE_MS = 60_000;

/** The longest that a timer can wait. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** @throws SetupError naming every setting that is missing or wrong */
export function readExtractorConfig(env: Env, read = envReader(env)): ExtractorConfig {
  const timeout = (name: SettingName, fallback: number) =>
    read.integer(name, { default: fallback, min: 1_000, max: MAX_TIMEOUT_MS });
  return read.done({
    databaseUrl: read.secret('DATABASE_URL'),
    controlDatabaseUrl: read.secret('CONTROL_DATABASE_URL', 'DATABASE_URL'),
    controlMigrations: readControlMigrations(read),
    kafka: readKafkaConfig(read),
    schemaRegistryUrl: read.url('SCHEMA_REGISTRY_URL'),
    catalogPath: read.string('CATALOG'),
    topicPrefix: read.string('TOPIC_PREFIX', 'tandem'),
    publicationName: read.string('PUBLICATION_NAME', 'tandem'),
    host: read.string('HOST', '127.0.0.1'),
    healthPort: read.integer('HEALTH_PORT', { default: 0, min: 0, max: 65_535 }),
    // With 0 a process only reads, or only holds: roles can be split over machines.
    maxExports: read.integer('EXTRACTOR_MAX_EXPORTS', { default: 4, min: 0, max: 100 }),
    maxChunks: read.integer('EXTRACTOR_MAX_CHUNKS', { default: 2, min: 0, max: 32 }),
    maxAllAccountExports: read.integer('EXTRACTOR_MAX_ALL_ACCOUNT_EXPORTS', { default: 2, min: 1, max: 10 }),
    chunkWindow: read.integer('EXTRACTOR_CHUNK_WINDOW', { default: 8, min: 1, max: 1_000 }),
    chunkBytes: read.integer('EXTRACTOR_CHUNK_BYTES', { default: 12_000_000, min: 1 }),
    exportTimeoutMs: timeout('EXTRACTOR_EXPORT_TIMEOUT_MS', 6 * 60 * MINUTE_MS),
    chunkTimeoutMs: timeout('EXTRACTOR_CHUNK_TIMEOUT_MS', 15 * MINUTE_MS),
    feedTimeoutMs: timeout('EXTRACTOR_FEED_TIMEOUT_MS', MINUTE_MS),
    settleTimeoutMs: timeout('EXTRACTOR_SETTLE_TIMEOUT_MS', 30 * MINUTE_MS),
  });
}
