import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Env, envReader } from '../../shared/runtime/env.ts';
import { type BaseConfig, readBaseConfig } from '../../shared/service/base-config.ts';

const BASE = [
  'controlUrl',
  'controlMigrations',
  'kafka',
  'schemaRegistryUrl',
  'storageUrl',
  'catalogPath',
  'topicPrefix',
  'topicSettings',
  'tracing',
  'backgroundNice',
  'host',
  'healthPort',
] as const;

export interface WriterConfig extends BaseConfig<(typeof BASE)[number]> {
  /** Limit of chunks being received at once; each keeps a file open. */
  readonly maxOpenChunks: number;
  /** Limit of exports assembled at once. */
  readonly maxAssemblies: number;
  /** Local disk for unfinished files that can't be streamed: those of the format parquet. */
  readonly scratchDirectory: string;
  /** Memory limit of DuckDB for one Parquet file. */
  readonly parquetMemoryMb: number;
  readonly retentionDays: number;
}

/** @throws SetupError naming every setting that is missing or wrong */
export function readWriterConfig(env: Env, read = envReader(env)): WriterConfig {
  return read.done({
    ...readBaseConfig(read, BASE),
    maxOpenChunks: read.integer('WRITER_MAX_OPEN_CHUNKS', { default: 500, min: 1, max: 100_000 }),
    maxAssemblies: read.integer('WRITER_MAX_ASSEMBLIES', { default: 2, min: 1, max: 16 }),
    scratchDirectory: read.string('WRITER_SCRATCH_DIR', defaultScratchDirectory()),
    parquetMemoryMb: read.integer('PARQUET_MEMORY_MB', { default: 512, min: 384, max: 65_536 }),
    retentionDays: read.integer('EXPORT_RETENTION_DAYS', { default: 90, min: 1, max: 3_650 }),
  });
}

/** One per user, because all users share the temporary directory. */
function defaultScratchDirectory(): string {
  return join(tmpdir(), `tandem-writer-${process.getuid?.() ?? 0}`);
}
