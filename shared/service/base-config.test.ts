import { expect, test } from 'vitest';
import { envReader } from '../runtime/env.ts';
import { SetupError } from '../runtime/errors.ts';
import { describeConfig, readBaseConfig } from './base-config.ts';

const ENV = {
  DATABASE_URL: 'postgres://app:source-pw@db/product',
  KAFKA_BROKERS: '127.0.0.1:9092',
  KAFKA_SASL_MECHANISM: 'plain',
  KAFKA_SASL_USERNAME: 'app',
  KAFKA_SASL_PASSWORD: 'kafka-pw',
  SCHEMA_REGISTRY_URL: 'https://app:registry-pw@registry/path?key=registry-pw',
  SECRET_KEY: 'a key of thirty-two characters!!',
  BULK_HANDLER_SECRETS: `whsec_${'handlerpw'.repeat(4)}`,
  DELIVERY_ALLOW_NETWORKS: '10.0.0.0/8',
};

const NAMES = [
  'sourceUrl',
  'kafka',
  'schemaRegistryUrl',
  'secretKeys',
  'handlerSecrets',
  'allowNetworks',
] as const;

test('the log shows that a secret is set, and of every other setting its value', () => {
  const read = envReader(ENV);
  const config = read.done({ ...readBaseConfig(read, NAMES), port: 80, table: new Map([['a', 1]]) });
  const shown = JSON.parse(JSON.stringify(describeConfig(config, ['port'])));
  expect(shown).toEqual({
    sourceUrl: { set: true },
    kafka: { client: 'tuned', brokers: ['127.0.0.1:9092'], ssl: false, sasl: 'plain' },
    schemaRegistryUrl: 'https://app:***@registry/path',
    secretKeys: { current: { set: true }, previous: [] },
    handlerSecrets: [{ set: true }],
    allowNetworks: ['10.0.0.0/8'],
    port: 80,
  });
});

test('everything that is wrong is named at once, in one wording', () => {
  const read = envReader({
    ...ENV,
    SECRET_KEY: 'short',
    DELIVERY_ALLOW_NETWORKS: 'nope',
    SCHEMA_REGISTRY_URL: '',
  });
  const problems = () => read.done(readBaseConfig(read, NAMES));
  expect(problems).toThrow(SetupError);
  expect(problems).toThrow(
    /SCHEMA_REGISTRY_URL is not set(?:.|\n)*SECRET_KEY must have(?:.|\n)*DELIVERY_ALLOW_NETWORKS must list networks like/,
  );
});
