import { expect, test } from 'vitest';
import type { Env } from '../../../shared/runtime/env.ts';
import { runCommand } from '../../../test/support/run-command.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { announceTandem } from '../../local/running-tandem.ts';
import { configListCommand } from './config-list.ts';

const ENV: Env = {
  DATABASE_URL: 'postgres://app:source-pw@db/product?sslmode=require',
  KAFKA_BROKERS: 'kafka:9092',
  KAFKA_SASL_MECHANISM: 'plain',
  KAFKA_SASL_USERNAME: 'app',
  KAFKA_SASL_PASSWORD: 'pw!',
  SCHEMA_REGISTRY_URL: 'https://app:registry-pw@registry',
  STORAGE_URL: 's3://bucket/files?region=eu-central-1',
  AWS_ACCESS_KEY_ID: 'AKIA',
  CATALOG: 'catalog.yaml',
  ADMIN_KEY: 'the-operator-has-this-key',
  SECRET_KEY: 'a key of thirty-two characters!!',
};

interface Listed {
  readonly valid: boolean;
  readonly settings: readonly {
    readonly name: string;
    readonly value: string | null;
    readonly origin: string;
    readonly read_by: readonly string[];
    readonly problems: readonly string[];
  }[];
}

async function list(env: Env, ...words: string[]) {
  const { code, lines } = await runCommand(configListCommand, ['--json', ...words], {
    env,
    home: '/nowhere',
  });
  const listed = JSON.parse(lines.join('\n')) as Listed;
  return {
    code,
    listed,
    text: lines.join('\n'),
    of: (name: string) => listed.settings.find((one) => one.name === name),
  };
}

test('every setting is listed as the services read it, without any secret', async () => {
  const { code, listed, text, of } = await list(ENV);
  expect(code).toBe(0);
  expect(listed.valid).toBe(true);
  expect(of('DATABASE_URL')).toMatchObject({ value: 'postgres://app:***@db/product', origin: 'set' });
  expect(of('CONTROL_DATABASE_URL')).toMatchObject({ value: 'as DATABASE_URL', origin: 'default' });
  expect(of('KAFKA_SASL_PASSWORD')).toMatchObject({ value: '***', origin: 'set' });
  expect(of('SECRET_KEY_PREVIOUS')).toMatchObject({ value: null, origin: 'unset' });
  expect(of('PORT')).toMatchObject({ value: '8080', origin: 'default', read_by: ['api'] });
  expect(of('AWS_REGION')).toMatchObject({
    value: null,
    origin: 'unset',
    read_by: ['api', 'bulk', 'writer'],
  });
  expect(text).not.toMatch(/source-pw|registry-pw|pw!|operator-has|thirty-two/);
});

test('of every value with a URL in it, also of a list, no password and no query is shown', async () => {
  const { of, text } = await list({
    ...ENV,
    SOURCE_READ_URL: 'postgres://app:read-pw@one/product,postgres://two/product?sslkey=a&sslpassword=key-pw',
    CORS_ORIGINS: 'https://one.example,https://two.example',
  });
  expect(of('SOURCE_READ_URL')?.value).toBe('postgres://app:***@one/product,postgres://two/product');
  // Without more than its address, it is shown as it is.
  expect(of('CORS_ORIGINS')?.value).toBe('https://one.example,https://two.example');
  expect(of('STORAGE_URL')?.value).toBe('s3://bucket/files');
  expect(text).not.toMatch(/read-pw|key-pw/);
});

test('each wrong setting is listed with its error, whichever service reads it', async () => {
  const { code, listed, of } = await list({
    ...ENV,
    ADMIN_KEY: '',
    STORAGE_URL: 'ftp://files',
    WRITER_MAX_ASSEMBLIES: '99',
    BULK_HANDLER_SECRETS: 'whsec_short',
    LOG_LEVEL: 'loud',
  });
  expect(code).toBe(1);
  expect(listed.valid).toBe(false);
  expect(of('ADMIN_KEY')).toMatchObject({ origin: 'missing', problems: ['ADMIN_KEY is not set'] });
  expect(of('STORAGE_URL')?.problems.join()).toMatch(/must be file:\/\/\//);
  expect(of('WRITER_MAX_ASSEMBLIES')?.problems.join()).toMatch(/from 1 to 16, not "99"/);
  expect(of('BULK_HANDLER_SECRETS')?.problems.join()).toMatch(/at least 24 bytes/);
  expect(of('LOG_LEVEL')?.problems.join()).toMatch(/one of debug, info, warn, error/);
  expect(listed.settings.filter(({ problems }) => problems.length > 0)).toHaveLength(5);
});

test('the list is narrowed to one service, or to what is set or wrong', async () => {
  const ofWriter = await list({ ...ENV, ADMIN_KEY: '' }, '--service', 'writer');
  expect(ofWriter.code).toBe(0);
  expect(ofWriter.of('ADMIN_KEY')).toBeUndefined();
  expect(ofWriter.of('WRITER_MAX_ASSEMBLIES')).toBeDefined();
  const set = await list({ ...ENV, ADMIN_KEY: '' }, '--set');
  expect(set.of('PORT')).toBeUndefined();
  expect(set.of('ADMIN_KEY')).toBeDefined();
  await expect(list(ENV, '--service', 'reader')).rejects.toThrow(/no service "reader"/);
});

test('the settings of a Tandem that runs here are all there, and its keys are not shown', async () => {
  const home = temporaryDirectory();
  const adminKey = `tk_admin_${'a1b2c3d4'.repeat(6)}`;
  const { DATABASE_URL = '', KAFKA_BROKERS = '', CATALOG = '' } = ENV;
  const parts = {
    ...{ DATABASE_URL, KAFKA_BROKERS, CATALOG, STORAGE_URL: 'file:///files' },
    SCHEMA_REGISTRY_URL: 'http://registry',
  };
  using _running = announceTandem(home, { apiUrl: 'http://127.0.0.1:8080', adminKey, parts });
  const { code, lines } = await runCommand(configListCommand, ['--set'], { env: {}, home });
  expect(lines.at(-1)).toBe('every service accepts these settings');
  expect(code).toBe(0);
  expect(lines.find((line) => line.startsWith('SECRET_KEY '))).toMatch(/stack +\*\*\*/);
  expect(lines.join('\n')).not.toContain('a1b2c3d4');
});
