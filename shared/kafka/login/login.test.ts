import { expect, test } from 'vitest';
import { envReader } from '../../runtime/env.ts';
import type { SetupError } from '../../runtime/errors.ts';
import { readKafkaConfig } from '../client-config.ts';

const read = (env: Record<string, string>) => {
  const reader = envReader({ KAFKA_BROKERS: 'kafka:9092', ...env });
  return reader.done(readKafkaConfig(reader)).sasl;
};

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    read(env);
    return [];
  } catch (error) {
    return (error as SetupError).findings;
  }
}

test('each mechanism needs its own settings, and names those that are missing', () => {
  expect(read({})).toBeUndefined();
  expect(problemsOf({ KAFKA_SASL_MECHANISM: 'plain' })).toEqual([
    'KAFKA_SASL_USERNAME is not set',
    'KAFKA_SASL_PASSWORD is not set',
  ]);
  expect(problemsOf({ KAFKA_SASL_MECHANISM: 'oauthbearer' })).toEqual([
    'KAFKA_OAUTH_TOKEN_URL is not set',
    'KAFKA_OAUTH_CLIENT_ID is not set',
    'KAFKA_OAUTH_CLIENT_SECRET is not set',
  ]);
  expect(problemsOf({ KAFKA_SASL_MECHANISM: 'aws_iam' })).toEqual([
    'KAFKA_SSL must be true with KAFKA_SASL_MECHANISM=aws_iam',
    'KAFKA_AWS_REGION must be set, because the names in KAFKA_BROKERS do not show the region',
  ]);
});

const OAUTH = {
  KAFKA_SASL_MECHANISM: 'oauthbearer',
  KAFKA_OAUTH_TOKEN_URL: 'https://login.example/token',
  KAFKA_OAUTH_CLIENT_ID: 'tandem',
  KAFKA_OAUTH_CLIENT_SECRET: 'a-secret-41c',
};

test('the secret of a client stays out of what is logged', () => {
  expect(JSON.stringify(read(OAUTH))).not.toContain('a-secret-41c');
});

test.each([
  ['KAFKA_OAUTH_TOKEN_URL', 'ftp://login.example/token', 'KAFKA_OAUTH_TOKEN_URL must begin with https'],
  ['KAFKA_OAUTH_TOKEN_URL', 'login.example', 'KAFKA_OAUTH_TOKEN_URL is not a URL'],
  ['KAFKA_OAUTH_EXTENSIONS', 'logicalCluster', 'KAFKA_OAUTH_EXTENSIONS must list pairs'],
  ['KAFKA_OAUTH_EXTENSIONS', 'auth=Bearer x', 'KAFKA_OAUTH_EXTENSIONS must list pairs'],
  ['KAFKA_OAUTH_EXTENSIONS', 'a=b\u0001auth=Bearer x', 'KAFKA_OAUTH_EXTENSIONS must list pairs'],
])('%s=%j is refused', (name, value, problem) => {
  expect(problemsOf({ ...OAUTH, [name]: value }).join()).toContain(problem);
});

test('extensions are read in pairs', () => {
  const env = { ...OAUTH, KAFKA_OAUTH_EXTENSIONS: 'logicalCluster=lkc-1, identityPoolId=pool=1' };
  expect(read(env)).toMatchObject({ extensions: { logicalCluster: 'lkc-1', identityPoolId: 'pool=1' } });
});

test.each([
  ['b-1.tandem.x1.c2.kafka.eu-central-1.amazonaws.com:9098', 'eu-central-1'],
  ['boot-x.c1.kafka-serverless.us-east-1.amazonaws.com:9098', 'us-east-1'],
  ['b-1.tandem.x1.c2.kafka.cn-north-1.amazonaws.com.cn:9098', 'cn-north-1'],
])('the region is in the name %s', (broker, region) => {
  const aws = { KAFKA_SASL_MECHANISM: 'aws_iam', KAFKA_SSL: 'true', KAFKA_BROKERS: broker };
  expect(read(aws)).toEqual({ mechanism: 'aws_iam', region });
  expect(read({ ...aws, KAFKA_AWS_REGION: 'eu-west-3' })).toMatchObject({ region: 'eu-west-3' });
});
