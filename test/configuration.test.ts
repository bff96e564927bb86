import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type DeclaredSetting, readServiceSettings } from '../deploy/cli/declared-settings.ts';
import type { Env } from '../shared/runtime/env.ts';
import { SETTINGS } from '../shared/runtime/settings.ts';
import { renderConfiguration } from './support/render-configuration.ts';

/** What no service does without, and what makes one read settings that it otherwise passes over. */
const ENOUGH: Env = {
  DATABASE_URL: 'postgres://source',
  CONTROL_DATABASE_URL: 'postgres://control',
  KAFKA_BROKERS: '127.0.0.1:9092',
  KAFKA_SASL_MECHANISM: 'plain',
  KAFKA_SASL_USERNAME: 'user',
  KAFKA_SASL_PASSWORD: 'a password',
  SCHEMA_REGISTRY_URL: 'http://127.0.0.1:8081',
  STORAGE_URL: 'file:///storage',
  CATALOG: 'catalog.yaml',
  ADMIN_KEY: 'k'.repeat(32),
  SECRET_KEY: 's'.repeat(32),
};

/** Each login to Kafka has settings of its own. */
const LOGINS: readonly Env[] = [
  {},
  {
    KAFKA_SASL_MECHANISM: 'oauthbearer',
    KAFKA_OAUTH_TOKEN_URL: 'https://login.example/token',
    KAFKA_OAUTH_CLIENT_ID: 'tandem',
    KAFKA_OAUTH_CLIENT_SECRET: 'a secret',
  },
  { KAFKA_SASL_MECHANISM: 'aws_iam', KAFKA_SSL: 'true', KAFKA_AWS_REGION: 'eu-central-1' },
];

function declaredSettings(): DeclaredSetting[] {
  const services = LOGINS.flatMap((login) => readServiceSettings({ ...ENOUGH, ...login }));
  expect(services.flatMap(({ problems }) => problems)).toEqual([]);
  const declared = services.flatMap((one) => one.declared);
  const byReader = new Map(declared.map((setting) => [`${setting.service} ${setting.name}`, setting]));
  return [...byReader.values()];
}

const DOCUMENT = new URL('../deploy/configuration.md', import.meta.url);

test('deploy/configuration.md says what the services declare (UPDATE_GOLDEN=1 rewrites it)', () => {
  const text = renderConfiguration(declaredSettings());
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(DOCUMENT, text);
  expect(readFileSync(DOCUMENT, 'utf8')).toBe(text);
});

test('every described setting is read by somebody', () => {
  const read = new Set<string>(declaredSettings().map(({ name }) => name));
  const unread = Object.entries(SETTINGS).filter(([name, text]) => read.has(name) === 'readBy' in text);
  expect(unread.map(([name]) => name)).toEqual([]);
});

test('services that read the same setting have the same default and the same bounds for it', () => {
  const declared = Map.groupBy(declaredSettings(), ({ name }) => name);
  const differing = [...declared].filter(
    ([, all]) => new Set(all.map(({ service: _, ...rest }) => JSON.stringify(rest))).size > 1,
  );
  expect(differing.map(([name]) => name)).toEqual([]);
});

test('what a setting does fits on a line', () => {
  const long = Object.entries(SETTINGS).filter(([, { means }]) => means.length > 140);
  expect(long.map(([name]) => name)).toEqual([]);
});
