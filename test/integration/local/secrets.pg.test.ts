import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { cacheDirectory } from '../../../deploy/local/fetch-jars.ts';
import { NODE_FLAGS } from '../../../deploy/local/supervise.ts';
import { SETTINGS } from '../../../shared/runtime/settings.ts';
import { createDatabase, testStack } from '../../support/stack.ts';

const home = mkdtempSync(join(tmpdir(), 'tandem-secrets-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** Every variable that holds a secret, with the part that must never be seen. */
const SECRETS = {
  DATABASE_URL: 'source-pw-7f1',
  CONTROL_DATABASE_URL: 'control-pw-7f2',
  SOURCE_READ_URL: 'standby-pw-7fc',
  KAFKA_SASL_PASSWORD: 'kafka-pw-7f3',
  KAFKA_OAUTH_TOKEN_URL: 'token-pw-7fd',
  KAFKA_OAUTH_CLIENT_SECRET: 'client-secret-7fe',
  SCHEMA_REGISTRY_URL: 'registry-pw-7f4',
  ADMIN_KEY: 'admin-key-7f5-and-long-enough-to-be-taken',
  SECRET_KEY: 'secret-key-7f6-and-long-enough-to-be-taken',
  SECRET_KEY_PREVIOUS: 'previous-key-7f7-and-long-enough-to-be-taken',
  AWS_SECRET_ACCESS_KEY: 'storage-key-7f8',
  AWS_SESSION_TOKEN: 'session-token-7fa',
  STORAGE_URL: 'storage-pw-7f9',
  BULK_HANDLER_SECRETS: `whsec_${Buffer.from('handler-secret-7fb-and-long-enough').toString('base64')}`,
} as const;

/** Nobody listens there. */
const NOWHERE = '127.0.0.1:1';

const ENV: Record<string, string> = {
  DATABASE_URL: `postgres://app:${SECRETS.DATABASE_URL}@${NOWHERE}/product`,
  CONTROL_DATABASE_URL: `postgres://app:${SECRETS.CONTROL_DATABASE_URL}@${NOWHERE}/tandem`,
  SOURCE_READ_URL: `postgres://app:${SECRETS.SOURCE_READ_URL}@${NOWHERE}/product`,
  KAFKA_BROKERS: NOWHERE,
  KAFKA_SASL_MECHANISM: 'plain',
  KAFKA_SASL_USERNAME: 'app',
  KAFKA_SASL_PASSWORD: SECRETS.KAFKA_SASL_PASSWORD,
  KAFKA_OAUTH_TOKEN_URL: `http://app:${SECRETS.KAFKA_OAUTH_TOKEN_URL}@${NOWHERE}/token`,
  KAFKA_OAUTH_CLIENT_ID: 'app',
  KAFKA_OAUTH_CLIENT_SECRET: SECRETS.KAFKA_OAUTH_CLIENT_SECRET,
  SCHEMA_REGISTRY_URL: `http://app:${SECRETS.SCHEMA_REGISTRY_URL}@${NOWHERE}/`,
  STORAGE_URL: `file://${home}/storage`,
  ADMIN_KEY: SECRETS.ADMIN_KEY,
  SECRET_KEY: SECRETS.SECRET_KEY,
  SECRET_KEY_PREVIOUS: SECRETS.SECRET_KEY_PREVIOUS,
  AWS_ACCESS_KEY_ID: 'AKIA',
  AWS_SECRET_ACCESS_KEY: SECRETS.AWS_SECRET_ACCESS_KEY,
  AWS_SESSION_TOKEN: SECRETS.AWS_SESSION_TOKEN,
  BULK_HANDLER_SECRETS: SECRETS.BULK_HANDLER_SECRETS,
  CATALOG: 'schemas/catalogs/documint.yaml',
  TOPIC_PREFIX: 'secrets',
  LOG_LEVEL: 'debug',
};

/** From its first line on, long enough to be refused by everything; most end by themselves. */
const LISTEN_MS = 4_000;

/** Everything that a process says until it ends, or for a while. */
function outputOf(args: readonly string[], env: Record<string, string>): Promise<string> {
  const child = spawn(process.execPath, [...NODE_FLAGS, ...args], {
    env: {
      PATH: process.env.PATH,
      HOME: home,
      XDG_CACHE_HOME: dirname(cacheDirectory(process.env)),
      TANDEM_HOME: join(home, 'tandem'),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  let limit: NodeJS.Timeout | undefined;
  const hear = (data: unknown) => {
    text += data;
    limit ??= setTimeout(() => child.kill('SIGKILL'), LISTEN_MS);
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  return new Promise((resolve) => {
    child.on('close', () => {
      clearTimeout(limit);
      resolve(text);
    });
  });
}

function expectNoSecret(output: string): void {
  expect(output).not.toBe('');
  for (const secret of Object.values(SECRETS)) expect(output).not.toContain(secret);
}

const mainOf = (service: string) => `services/${service}/main.ts`;
const SERVICES = ['api', 'extractor', 'writer', 'capture', 'dispatcher', 'bulk'];

test('every setting that may hold a secret is among those of this test', () => {
  const mayHoldOne = Object.keys(SETTINGS).filter((name) =>
    /_KEY(?!_FILE)|SECRET|PASSWORD|TOKEN|_URL$/.test(name),
  );
  // A key's name, where clients reach the API, and where a browser goes for a new link.
  const open = ['AWS_ACCESS_KEY_ID', 'PUBLIC_URL', 'PORTAL_REFRESH_URL'];
  expect(mayHoldOne.filter((name) => !(name in SECRETS) && !open.includes(name))).toEqual([]);
});

test('no service says a secret of its settings, also where it can reach nothing', async () => {
  const outputs = await Promise.all(SERVICES.map((service) => outputOf([mainOf(service)], ENV)));
  for (const output of outputs) {
    const [first = ''] = output.split('\n');
    expect(JSON.parse(first)).toMatchObject({ event: 'service.configured', catalogPath: ENV.CATALOG });
    expectNoSecret(output);
  }
});

test('nor where the servers refuse what it brings, or a setting is wrong', async () => {
  await using database = await createDatabase('secrets');
  const refused = { ...ENV, CONTROL_DATABASE_URL: database.url, KAFKA_BROKERS: testStack().kafkaBrokers };
  const broken = { ...ENV, SCHEMA_REGISTRY_URL: `http://app:${SECRETS.SCHEMA_REGISTRY_URL}@[` };
  const byToken = { ...ENV, KAFKA_SASL_MECHANISM: 'oauthbearer' };
  const keyed = { ...ENV, STORAGE_URL: `s3://AKIA:${SECRETS.STORAGE_URL}@bucket?x=${SECRETS.STORAGE_URL}` };
  const outputs = await Promise.all([
    outputOf([mainOf('dispatcher')], refused),
    outputOf([mainOf('extractor')], broken),
    outputOf([mainOf('writer')], keyed),
    outputOf([mainOf('writer')], byToken),
    outputOf(['deploy/cli/tandem.ts', 'start'], ENV),
    outputOf(['deploy/cli/tandem.ts', 'source', 'status'], ENV),
  ]);
  for (const output of outputs) expectNoSecret(output);
});
