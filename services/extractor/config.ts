import { type Env, envReader, Secret } from '../../shared/runtime/env.ts';
import type { SettingName } from '../../shared/runtime/settings.ts';
import { type BaseConfig, readBaseConfig } from '../../shared/service/base-config.ts';

const BASE = [
  'sourceUrl',
  'controlUrl',
  'controlMigrations',
  'kafka',
  'schemaRegistryUrl',
  'catalogPath',
  'topicPrefix',
  'topicSettings',
  'publicationName',
  'pgReader',
  'tracing',
  'backgroundNice',
  'host',
  'healthPort',
] as const;

export interface ExtractorConfig extends BaseConfig<(typeof BASE)[number]> {
  readonly maxExports: number;
  readonly maxChunks: number;
  readonly maxAllAccountExports: number;
  readonly chunkWindow: number;
  readonly chunkBytes: number;
  readonly exportTimeoutMs: number;
  readonly chunkTimeoutMs: number;
  readonly feedTimeoutMs: number;
  readonly settleTimeoutMs: number;
  readonly chunkedExportRows: number;
  /** Hot standbys of the source. */
  readonly readUrls: readonly Secret[];
}

const MINUTE_MS = 60_000;

/** The longest that a timer can wait. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** @throws SetupError naming every setting that is missing or wrong */
export function readExtractorConfig(env: Env, read = envReader(env)): ExtractorConfig {
  const timeout = (name: SettingName, fallback: number) =>
    read.integer(name, { default: fallback, min: 1_000, max: MAX_TIMEOUT_MS });
  return read.done({
    ...readBaseConfig(read, BASE),
    // With 0 a process only reads, or only holds exports, so that roles can be split over machines.
    maxExports: read.integer('EXTRACTOR_MAX_EXPORTS', { default: 4, min: 0, max: 100 }),
    maxChunks: read.integer('EXTRACTOR_MAX_CHUNKS', { default: 2, min: 0, max: 32 }),
    maxAllAccountExports: read.integer('EXTRACTOR_MAX_ALL_ACCOUNT_EXPORTS', { default: 2, min: 1, max: 10 }),
    chunkWindow: read.integer('EXTRACTOR_CHUNK_WINDOW', { default: 8, min: 1, max: 1_000 }),
    chunkBytes: read.integer('EXTRACTOR_CHUNK_BYTES', { default: 12_000_000, min: 1 }),
    exportTimeoutMs: timeout('EXTRACTOR_EXPORT_TIMEOUT_MS', 6 * 60 * MINUTE_MS),
    chunkTimeoutMs: timeout('EXTRACTOR_CHUNK_TIMEOUT_MS', 15 * MINUTE_MS),
    feedTimeoutMs: timeout('EXTRACTOR_FEED_TIMEOUT_MS', MINUTE_MS),
    settleTimeoutMs: timeout('EXTRACTOR_SETTLE_TIMEOUT_MS', 30 * MINUTE_MS),
    chunkedExportRows: read.integer('CHUNKED_EXPORT_ROWS', { default: 0, min: 0 }),
    readUrls: read.list('SOURCE_READ_URL', []).map((url) => new Secret(url)),
  });
}
