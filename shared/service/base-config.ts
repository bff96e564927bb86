import { readHandlerSecrets } from '../bulk/handler-secrets.ts';
import { readSlotThresholds } from '../catalog/slot-health.ts';
import { readControlMigrations } from '../control/migrate.ts';
import { type Cidr, parseCidr } from '../domain/address-rules.ts';
import { type KafkaConfig, readKafkaConfig } from '../kafka/client-config.ts';
import { readTopicSettings } from '../kafka/topic-settings.ts';
import { type EnvReader, Secret } from '../runtime/env.ts';
import { readSecretKeys } from '../runtime/secret-box.ts';
import { readTracing } from '../runtime/tracing-config.ts';
import { readStorageUrl } from '../storage/open-storage.ts';

/** Every setting that more than one service reads, under the name that it has in all of them. */
const READERS = {
  sourceUrl: (read: EnvReader) => read.secret('DATABASE_URL'),
  controlUrl: (read: EnvReader) => read.secret('CONTROL_DATABASE_URL', 'DATABASE_URL'),
  controlMigrations: readControlMigrations,
  kafka: readKafkaConfig,
  pgReader: (read: EnvReader) => read.oneOf('PG_READER', ['tuned', 'plain'], 'tuned'),
  schemaRegistryUrl: (read: EnvReader) => read.url('SCHEMA_REGISTRY_URL'),
  storageUrl: readStorageUrl,
  catalogPath: (read: EnvReader) => read.string('CATALOG'),
  topicPrefix: (read: EnvReader) => read.string('TOPIC_PREFIX', 'tandem'),
  topicSettings: readTopicSettings,
  slotName: (read: EnvReader) => read.string('SLOT_NAME', 'tandem'),
  slotThresholds: readSlotThresholds,
  publicationName: (read: EnvReader) => read.string('PUBLICATION_NAME', 'tandem'),
  secretKeys: readSecretKeys,
  handlerSecrets: readHandlerSecrets,
  allowNetworks: readNetworks,
  allowHttp: (read: EnvReader) => read.boolean('DELIVERY_ALLOW_HTTP', false),
  /** Events of a day are dropped once the day is over, so that one day would keep less than a day. */
  eventRetentionDays: (read: EnvReader) =>
    read.integer('EVENT_RETENTION_DAYS', { default: 30, min: 2, max: 3_650 }),
  tracing: readTracing,
  backgroundNice: (read: EnvReader) => read.integer('BACKGROUND_NICE', { default: 5, min: 0, max: 19 }),
  host: (read: EnvReader) => read.string('HOST', '127.0.0.1'),
  healthPort: (read: EnvReader) => read.integer('HEALTH_PORT', { default: 0, min: 0, max: 65_535 }),
} as const;

type Readers = typeof READERS;

export type BaseName = keyof Readers;

/** The settings of these names. */
export type BaseConfig<Names extends BaseName> = {
  readonly [Name in Names]: ReturnType<Readers[Name]>;
};

/** Reads the settings of these names; problems are kept until `read.done`. */
export function readBaseConfig<const Names extends BaseName>(
  read: EnvReader,
  names: readonly Names[],
): BaseConfig<Names> {
  return Object.fromEntries(names.map((name) => [name, READERS[name](read)])) as BaseConfig<Names>;
}

/**
 * What the log may show of a service's settings: the base settings that it has, and those of its own that are named. A secret shows
 * that it is set, a URL is without its login, and of Kafka the password stays out.
 */
export function describeConfig<Config extends object>(
  config: Config,
  ownNames: readonly (keyof Config & string)[],
): Record<string, unknown> {
  const names = [...Object.keys(READERS), ...ownNames].filter((name) => name in config);
  return Object.fromEntries(
    names.map((name) => [name, describe(name, config[name as keyof Config])] as const),
  );
}

function describe(name: string, value: unknown): unknown {
  if (name === 'kafka') {
    const { client, brokers, ssl, sasl } = value as KafkaConfig;
    return { client, brokers, ssl, ...(sasl === undefined ? {} : { sasl: sasl.mechanism }) };
  }
  if (name === 'allowNetworks') {
    return (value as readonly Cidr[]).map(({ network, prefix }) => `${network}/${prefix}`);
  }
  return value instanceof Secret ? value.toJSON() : value;
}

function readNetworks(read: EnvReader): readonly Cidr[] {
  return read.list('DELIVERY_ALLOW_NETWORKS', []).flatMap((text) => {
    try {
      return [parseCidr(text)];
    } catch {
      read.refuse(`DELIVERY_ALLOW_NETWORKS must list networks like 10.0.0.0/8, not "${text}"`);
      return [];
    }
  });
}
