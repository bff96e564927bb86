import type { SlotThresholds } from '../../shared/catalog/slot-health.ts';
import { readSlotThresholds } from '../../shared/catalog/slot-watch.ts';
import { type Lsn, parseLsn } from '../../shared/domain/lsn.ts';
import { type KafkaConfig, readKafkaConfig } from '../../shared/kafka/client.ts';
import { type Env, envReader, type Secret } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';

export interface CaptureConfig {
  readonly databaseUrl: Secret;
  readonly kafka: KafkaConfig;
  readonly schemaRegistryUrl: Secret;
  readonly catalogPath: string;
  readonly topicPrefix: string;
  readonly slotName: string;
  readonly publicationName: string;
  /** Set by an operator to go on though changes after this position may be lost; see GapPossibleError. */
  readonly acceptedGapAfter: Lsn | undefined;
  readonly slotThresholds: SlotThresholds;
  readonly misfitGraceMs: number;
  readonly host: string;
  readonly healthPort: number;
}

export function readCaptureConfig(env: Env, read = envReader(env)): CaptureConfig {
  return read.done({
    databaseUrl: read.secret('DATABASE_URL'),
    kafka: readKafkaConfig(read),
    schemaRegistryUrl: read.url('SCHEMA_REGISTRY_URL'),
    catalogPath: read.string('CATALOG'),
    topicPrefix: read.string('TOPIC_PREFIX', 'tandem'),
    slotName: read.string('SLOT_NAME', 'tandem'),
    publicationName: read.string('PUBLICATION_NAME', 'tandem'),
    acceptedGapAfter: readLsn('ACCEPT_GAP_AFTER', read.optional('ACCEPT_GAP_AFTER')),
    slotThresholds: readSlotThresholds(read),
    misfitGraceMs: read.integer('TABLE_MISFIT_GRACE_SECONDS', { default: 15, min: 0, max: 3_600 }) * 1_000,
    host: read.string('HOST', '127.0.0.1'),
    healthPort: read.integer('HEALTH_PORT', { default: 0, min: 0, max: 65_535 }),
  });
}

function readLsn(name: string, text: string | undefined): Lsn | undefined {
  if (text === undefined) return undefined;
  try {
    return parseLsn(text);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new SetupError('the settings are not usable', [
      `${name} must be a position like 0/1A2B3C4D, not "${text}"`,
    ]);
  }
}
