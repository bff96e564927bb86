import { expect, test } from 'vitest';
import { SetupError } from '../../shared/runtime/errors.ts';
import { readApiConfig } from './config.ts';

const env = {
  DATABASE_URL: 'postgres://db/product',
  KAFKA_BROKERS: '127.0.0.1:9092',
  SCHEMA_REGISTRY_URL: 'http://127.0.0.1:8081',
  STORAGE_URL: 'file:///tmp/x',
  CATALOG: 'catalog.yaml',
  ADMIN_KEY: 'a-key-of-the-operator',
  SECRET_KEY: 'a key of thirty-two characters!!',
};

test('settings have defaults, and the control store is on the source’s server by default', () => {
  const config = readApiConfig({ ...env, PUBLIC_URL: 'https://api.example.com/tandem/' });
  expect(config).toMatchObject({
    port: 8_080,
    host: '127.0.0.1',
    topicPrefix: 'tandem',
    publicUrl: 'https://api.example.com/tandem',
    urlLifetimeSeconds: 86_400,
    allowNetworks: [],
  });
  expect(config.controlUrl.reveal()).toBe(env.DATABASE_URL);
  expect(JSON.stringify(config)).not.toContain(env.SECRET_KEY);
});

test.each([
  [{ SECRET_KEY: 'short' }, 'SECRET_KEY'],
  [{ SECRET_KEY_PREVIOUS: `${env.SECRET_KEY},short` }, 'SECRET_KEY_PREVIOUS'],
  [{ SECRET_KEY_PREVIOUS: Array(5).fill(env.SECRET_KEY).join() }, 'SECRET_KEY_PREVIOUS'],
  [{ ADMIN_KEY: 'short' }, 'ADMIN_KEY'],
  [{ ADMIN_KEY: 'a key with spaces in it' }, 'ADMIN_KEY'],
  [{ DELIVERY_ALLOW_NETWORKS: '127.0.0.0/8,nope' }, 'nope'],
  [{ PUBLIC_URL: 'api.example.com' }, 'PUBLIC_URL'],
  [{ PORTAL_REFRESH_URL: '/portal' }, 'PORTAL_REFRESH_URL'],
  [{ PORTAL_FRAME_ANCESTORS: "https://a.example,'self'" }, 'PORTAL_FRAME_ANCESTORS'],
  [{ CORS_ORIGINS: 'https://a.example/' }, 'https://a.example/'],
  [{ CORS_ORIGINS: 'null' }, 'CORS_ORIGINS'],
  [{ DOWNLOAD_URL_SECONDS: '604801' }, 'DOWNLOAD_URL_SECONDS'],
  [{ KAFKA_BROKERS: '' }, 'KAFKA_BROKERS'],
])('%o is reported with its name', (change, named) => {
  expect(() => readApiConfig({ ...env, ...change })).toThrow(SetupError);
  expect(() => readApiConfig({ ...env, ...change })).toThrow(named);
});
