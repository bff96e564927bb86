import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTlsFront } from '../../../test/support/tls-front.ts';
import { openTokenServer, type TokenServer } from '../../../test/support/token-server.ts';
import { envReader } from '../../runtime/env.ts';
import { readKafkaConfig } from '../client-config.ts';
import { fetchOAuthToken, type OAuthLogin } from './oauth-token.ts';
import { TokenError } from './token.ts';

let server: TokenServer;
beforeAll(async () => {
  server = await openTokenServer(600);
});
afterAll(() => server[Symbol.asyncDispose]());

function login(env: Record<string, string> = {}): OAuthLogin {
  const read = envReader({ KAFKA_BROKERS: 'kafka:9092', ...server.env, ...env });
  return read.done(readKafkaConfig(read)).sasl as OAuthLogin;
}

async function failureOf(one: OAuthLogin): Promise<TokenError> {
  const error = await fetchOAuthToken(one).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TokenError);
  const failure = error as TokenError;
  // As it is logged: with all that it holds.
  expect(JSON.stringify({ ...failure, message: failure.message, cause: failure.cause })).not.toContain(
    'secret-5f0',
  );
  return failure;
}

test('a client gets a token, with its life', async () => {
  const { value, lifeMs } = await fetchOAuthToken(login());
  expect(value).toMatch(/^[\w-]+\.[\w-]+\.$/);
  expect(lifeMs).toBe(600_000);
});

test('a wrong secret is refused with what to check', async () => {
  const { message, isOutage } = await failureOf(login({ KAFKA_OAUTH_CLIENT_SECRET: 'other' }));
  expect(message).toBe(
    `the token server ${server.url} refuses client tandem:é (invalid_client): check KAFKA_OAUTH_CLIENT_ID, KAFKA_OAUTH_CLIENT_SECRET and KAFKA_OAUTH_SCOPE`,
  );
  expect(isOutage).toBe(false);
});

test.each([
  [
    400,
    '{"error":"invalid_scope","error_description":"no such scope"}',
    'invalid_scope: no such scope',
    false,
  ],
  [404, '<html>', 'responds 404: check KAFKA_OAUTH_TOKEN_URL', false],
  [302, '', 'responds 302: check KAFKA_OAUTH_TOKEN_URL', false],
  [200, '<html>', 'gives no access_token: check KAFKA_OAUTH_TOKEN_URL', false],
  [200, '{"access_token":"a\\nb"}', 'gives no access_token', false],
  [429, '{"error":"slow_down"}', 'responds 429', true],
  [503, '', 'responds 503', true],
  [200, `{"access_token":"${'a'.repeat(2_000_000)}"}`, 'responds with too much', false],
])('%i with %.30s is told', async (status, body, text, isOutage) => {
  server.answer = { status, body };
  try {
    const failure = await failureOf(login());
    expect(failure.message).toContain(text);
    expect(failure.isOutage).toBe(isOutage);
  } finally {
    server.answer = undefined;
  }
});

test('a server that is away is an outage, and one whose certificate nobody signed is not', async () => {
  const gone = createServer();
  await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve));
  const { port } = gone.address() as AddressInfo;
  await new Promise((resolve) => gone.close(resolve));
  const away = await failureOf(login({ KAFKA_OAUTH_TOKEN_URL: `http://127.0.0.1:${port}/token` }));
  expect(away).toMatchObject({ isOutage: true, message: expect.stringContaining('ECONNREFUSED') });

  await using front = await openTlsFront((_, response) => void response.end());
  const url = `https://127.0.0.1:${front.port}/token`;
  expect(await failureOf(login({ KAFKA_OAUTH_TOKEN_URL: url }))).toMatchObject({
    isOutage: false,
    message: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
  });
});
