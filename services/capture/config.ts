import { type Lsn, parseLsn } from '../../shared/domain/lsn.ts';
import { type Env, type EnvReader, envReader } from '../../shared/runtime/env.ts';
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
  'slotName',
  'publicationName',
  'slotThresholds',
  'tracing',
  'host',
  'healthPort',
] as const;

export interface CaptureConfig extends BaseConfig<(typeof BASE)[number]> {
  /** Set by an operator to continue although changes after this position may be lost; see GapPossibleError. */
  readonly acceptedGapAfter: Lsn | undefined;
  readonly misfitGraceMs: number;
}

/** @throws SetupError naming every setting that is missing or wrong */
export function readCaptureConfig(env: Env, read = envReader(env)): CaptureConfig {
  return read.done({
    ...readBaseConfig(read, BASE),
    acceptedGapAfter: readAcceptedGap(read),
    misfitGraceMs: read.integer('TABLE_MISFIT_GRACE_SECONDS', { default: 15, min: 0, max: 3_600 }) * 1_000,
  });
}

function readAcceptedGap(read: EnvReader): Lsn | undefined {
  const text = read.optional('ACCEPT_GAP_AFTER');
  if (text === undefined) return undefined;
  try {
    return parseLsn(text);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    read.refuse(`ACCEPT_GAP_AFTER must be a position like 0/1A2B3C4D, not "${text}"`);
    return undefined;
  }
}
