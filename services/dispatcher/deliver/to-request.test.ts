import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { secretToKey } from '../../../shared/runtime/signing.ts';
import { toRequest } from './to-request.ts';

const secret = `whsec_${Buffer.from('the current one').toString('base64')}`;
const older = `whsec_${Buffer.from('the one before').toString('base64')}`;
const settings = (headers: Record<string, string> = {}) => ({
  url: 'https://shop.example/hook',
  headers,
  keys: [
    { key: secretToKey(secret), expiresAtMs: Number.POSITIVE_INFINITY },
    { key: secretToKey(older), expiresAtMs: Date.now() + 60_000 },
  ],
});
const never = new AbortController().signal;

test('during a rotation both secrets verify, and afterwards only the new one', () => {
  const during = toRequest(settings(), 'evt_1', '{}', Date.now(), never);
  for (const each of [secret, older]) {
    expect(() => new Webhook(each).verify(during.body, { ...during.headers })).not.toThrow();
  }
  const after = toRequest(settings(), 'evt_1', '{}', Date.now() + 120_000, never);
  expect(after.headers['webhook-signature']?.split(' ')).toHaveLength(1);
});

test('headers of the owner never replace ours', () => {
  const { headers } = toRequest(
    settings({ 'X-Team': 'blue', 'Webhook-Id': 'forged', HOST: 'elsewhere', 'Content-Length': '1' }),
    'evt_1',
    '{}',
    1_000_000,
    never,
  );
  expect(Object.keys(headers).sort()).toEqual([
    'X-Team',
    'content-type',
    'user-agent',
    'webhook-id',
    'webhook-signature',
    'webhook-timestamp',
  ]);
  expect(headers).toMatchObject({ 'webhook-id': 'evt_1', 'webhook-timestamp': '1000' });
});
