import { type Env, envReader } from '../../shared/runtime/env.ts';
import { type BaseConfig, readBaseConfig } from '../../shared/service/base-config.ts';
import type { PressureLimits } from './throttle.ts';

const BASE = [
  'sourceUrl',
  'controlUrl',
  'controlMigrations',
  'storageUrl',
  'catalogPath',
  'slotName',
  // Running jobs pause while the feed's slot retains more WAL than this.
  'slotThresholds',
  'handlerSecrets',
  'tracing',
  'backgroundNice',
  'host',
  'healthPort',
] as const;

export interface BulkConfig extends BaseConfig<(typeof BASE)[number]> {
  /** Chunks of row operations that this process works on at once. */
  readonly maxChunks: number;
  /** Chunks of HTTP operations that it works on at once. More than of the others, because they mostly wait. */
  readonly maxHttpChunks: number;
  /** Items in a chunk of a row operation. */
  readonly chunkItems: number;
  /** Concurrent HTTP requests of one chunk. */
  readonly httpConcurrency: number;
  /** How long a job retries items whose rows are locked, before they fail. */
  readonly heldRowMs: number;
  /** How long a job waits for an unavailable handler, before it fails. */
  readonly handlerAwayMs: number;
  readonly retentionDays: number;
  /** Above any of these jobs slow down: the source is under pressure, or the feed is behind. */
  readonly pressureLimits: PressureLimits;
}

/** @throws SetupError naming every setting that is missing or wrong */
export function readBulkConfig(env: Env, read = envReader(env)): BulkConfig {
  const {
    heldRowSeconds,
    handlerAwaySeconds,
    maxSlotLagMb,
    replayLagMs,
    blockedSessions,
    activeSessions,
    unrecordedChanges,
    chunkMs,
    ...rest
  } = read.done({
    ...readBaseConfig(read, BASE),
    maxChunks: read.integer('BULK_MAX_CHUNKS', { default: 2, min: 1, max: 32 }),
    maxHttpChunks: read.integer('BULK_MAX_HTTP_CHUNKS', { default: 8, min: 1, max: 256 }),
    chunkItems: read.integer('BULK_CHUNK_ITEMS', { default: 1_000, min: 1, max: 10_000 }),
    httpConcurrency: read.integer('BULK_HTTP_CONCURRENCY', { default: 10, min: 1, max: 200 }),
    heldRowSeconds: read.integer('BULK_HELD_ROW_SECONDS', { default: 600, min: 0, max: 86_400 }),
    handlerAwaySeconds: read.integer('BULK_HANDLER_AWAY_SECONDS', { default: 3_600, min: 0, max: 604_800 }),
    retentionDays: read.integer('BULK_RETENTION_DAYS', { default: 30, min: 1, max: 3_650 }),
    maxSlotLagMb: read.integer('BULK_MAX_SLOT_LAG_MB', { default: 1_024, min: 1, max: 1_000_000 }),
    replayLagMs: read.integer('BULK_MAX_REPLAY_LAG_MS', { default: 10_000, min: 100, max: 3_600_000 }),
    blockedSessions: read.integer('BULK_MAX_BLOCKED_SESSIONS', { default: 5, min: 0, max: 10_000 }),
    activeSessions: read.integer('BULK_MAX_ACTIVE_SESSIONS', { default: 50, min: 1, max: 100_000 }),
    unrecordedChanges: read.integer('BULK_MAX_UNRECORDED_CHANGES', {
      default: 1_000,
      min: 1,
      max: 10_000_000,
    }),
    chunkMs: read.integer('BULK_MAX_CHUNK_MS', { default: 2_000, min: 50, max: 60_000 }),
  });
  const slotLagBytes = maxSlotLagMb * 1_024 * 1_024;
  const pressureLimits = {
    slotLagBytes,
    replayLagMs,
    blockedSessions,
    activeSessions,
    unrecordedChanges,
    chunkMs,
  };
  return {
    ...rest,
    heldRowMs: heldRowSeconds * 1_000,
    handlerAwayMs: handlerAwaySeconds * 1_000,
    pressureLimits,
  };
}
