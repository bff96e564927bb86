import { type Env, type EnvReader, envReader } from '../../shared/runtime/env.ts';
import { type BaseConfig, readBaseConfig } from '../../shared/service/base-config.ts';
import { RETRY_DELAYS_MS } from './deliver/classify-outcome.ts';

const BASE = [
  'controlUrl',
  'controlMigrations',
  'kafka',
  'schemaRegistryUrl',
  'catalogPath',
  'topicPrefix',
  'topicSettings',
  'secretKeys',
  'allowNetworks',
  'allowHttp',
  'eventRetentionDays',
  'tracing',
  'host',
  'healthPort',
] as const;

export interface DispatcherConfig extends BaseConfig<(typeof BASE)[number]> {
  /** HTTP client that sends the requests. Both behave the same. */
  readonly sender: 'undici' | 'got';
  readonly deliveryTimeoutMs: number;
  readonly retryDelaysMs: readonly number[];
  readonly sendsTraceparent: boolean;
  /** Limit of concurrent requests of this process, over all endpoints. */
  readonly maxInFlight: number;
}

/** @throws SetupError naming every setting that is missing or wrong */
export function readDispatcherConfig(env: Env, read = envReader(env)): DispatcherConfig {
  return read.done({
    ...readBaseConfig(read, BASE),
    sender: read.oneOf('DELIVERY_SENDER', ['undici', 'got'], 'undici'),
    deliveryTimeoutMs: read.integer('DELIVERY_TIMEOUT_MS', { default: 15_000, min: 100, max: 60_000 }),
    maxInFlight: read.integer('DELIVERY_MAX_IN_FLIGHT', { default: 1_000, min: 1, max: 20_000 }),
    retryDelaysMs: readSchedule(read),
    sendsTraceparent: read.boolean('DELIVERY_TRACEPARENT', false),
  });
}

const MAX_RETRY_DELAY_SECONDS = 7 * 24 * 60 * 60;

function readSchedule(read: EnvReader): readonly number[] {
  const usual = RETRY_DELAYS_MS.map((delayMs) => String(delayMs / 1_000));
  const texts = read.list('RETRY_SCHEDULE_SECONDS', usual);
  for (const text of texts) {
    const seconds = Number(text);
    if (seconds > 0 && seconds <= MAX_RETRY_DELAY_SECONDS) continue;
    read.refuse(`RETRY_SCHEDULE_SECONDS must list seconds between attempts like 5,300,1800, not "${text}"`);
  }
  return texts.map((text) => Number(text) * 1_000);
}
