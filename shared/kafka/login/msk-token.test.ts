import { expect, test } from 'vitest';
import { mskTokens } from './msk-token.ts';
import { TokenError } from './token.ts';

const SIGNED_AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };

const sign = (credentials: Parameters<typeof mskTokens>[1]) =>
  mskTokens({ region: 'eu-central-1' }, credentials, () => SIGNED_AT_MS)();

const read = (value: string) => new URL(Buffer.from(value, 'base64url').toString());

/** Made by aws-msk-iam-sasl-signer-js 1.0.3 with the same keys at the same moment. */
const SIGNATURES = {
  user: '00629abe90095b91c1a9e460b67a01a8e4e7499b99f571276b99dd9258dd65e5',
  role: '08e9ce3b0c1a9cff553eed3f5b88c0bd078f5f33b519989065f75f502632c594',
};

test('a token is what the signer of AWS makes', async () => {
  const { value, lifeMs } = await sign(async () => KEYS);
  const { origin, pathname, searchParams } = read(value);
  expect([origin, pathname]).toEqual(['https://kafka.eu-central-1.amazonaws.com', '/']);
  const { 'User-Agent': agent, ...query } = Object.fromEntries(searchParams);
  expect(agent).toMatch(/^tandem\/\d/);
  expect(query).toEqual({
    Action: 'kafka-cluster:Connect',
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': 'AKIDEXAMPLE/20260102/eu-central-1/kafka-cluster/aws4_request',
    'X-Amz-Date': '20260102T030405Z',
    'X-Amz-Expires': '900',
    'X-Amz-SignedHeaders': 'host',
    'X-Amz-Signature': SIGNATURES.user,
  });
  expect(lifeMs).toBe(900_000);
});

test('the credentials of a role are signed with their own token, and end with them', async () => {
  const expiration = new Date(SIGNED_AT_MS + 300_000);
  const { value, lifeMs } = await sign(async () => ({ ...KEYS, sessionToken: 'session/+=', expiration }));
  expect(read(value).searchParams.get('X-Amz-Security-Token')).toBe('session/+=');
  expect(read(value).searchParams.get('X-Amz-Signature')).toBe(SIGNATURES.role);
  expect(lifeMs).toBe(300_000);
});

test('a process without credentials is told what to give it', async () => {
  const refused = sign(() => Promise.reject(new Error('Could not load credentials')));
  await expect(refused).rejects.toThrow(
    'there are no AWS credentials (Could not load credentials): give this process a role',
  );
  await expect(refused).rejects.toBeInstanceOf(TokenError);
});
