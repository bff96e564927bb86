import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ControlMigrations, readControlMigrations } from '../../shared/control/migrate.ts';
import { type KafkaConfig, readKafkaConfig } from '../../shared/kafka/client.ts';
import { type Env, envReader, type Secret } from '../../shared/runtime/env.ts';

export interface WriterConfig {
  readonly controlDatabaseUrl: Secret;
  readonly controlMigrations: ControlMigrations;
  readonly kafka: KafkaConfig;
  readonly schemaRegistryUrl: Secret;
  readonly storageUrl: Secret;
  readonly catalogPath: string;
  readonly topicPrefix: string;
  /** Chunks that may be coming in at once; each holds a file open. */
  readonly maxOpenChunks: number;
  /** Exports put together at once. */
  readonly maxAssemblies: number;
  /** Local disk for files in the making that can't be streamed: those of the format parquet. */
  readonly scratchDirectory: string;
  /** What DuckDB may use to write one Parquet file. */
  readonly parquetMemoryMb: number;
  readonly retentionDays: number;
  readonly host: string;
  readonly healthPort: number;
}

export function readWriterConfig(env: Env, read = envReader(env)): WriterConfig {
  return read.done({
    controlDatabaseUrl: read.secret('CONTROL_DATABASE_URL', 'DATABASE_URL'),
    controlMigrations: readControlMigrations(read),
    kafka: readKafkaConfig(read),
    schemaRegistryUrl: read.url('SCHEMA_REGISTRY_URL'),
    storageUrl: read.url('STORAGE_URL'),
    catalogPath: read.string('CATALOG'),
    topicPrefix: read.string('TOPIC_PREFIX', 'tandem'),
    maxOpenChunks: read.integer('WRITER_MAX_OPEN_CHUNKS', { default: 500, min: 1, max: 100_000 }),
    maxAssemblies: read.integer('WRITER_MAX_ASSEMBLIES', { default: 2, min: 1, max: 16 }),
    scratchDirectory: read.string('WRITER_SCRATCH_DIR', defaultScratchDirectory()),
    parquetMemoryMb: read.integer('PARQUET_MEMORY_MB', { default: 512, min: 384, max: 65_536 }),
    retentionDays: read.integer('EXPORT_RETENTION_DAYS', { default: 90, min: 1, max: 3_650 }),
    host: read.string('HOST', '127.0.0.1'),
    healthPort: read.integer('HEALTH_PORT', { default: 0, min: 0, max: 65_535 }),
  });
}

/** One for each user, because the temporary directory is everybody's. */
function defaultScratchDirectory(): string {
  return join(tmpdir(), `tandem-writer-${process.getuid?.() ?? 0}`);
}
