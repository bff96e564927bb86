import { expect, test } from 'vitest';
import { Secret } from '../runtime/env.ts';
import { SetupError } from '../runtime/errors.ts';
import { toSigningKeys } from './handler-secrets.ts';

const secret = (bytes: number) => new Secret(`whsec_${Buffer.alloc(bytes, 7).toString('base64')}`);

test('one secret is taken, or two, and none is allowed', () => {
  expect(toSigningKeys([])).toEqual([]);
  expect(toSigningKeys([secret(24)])).toHaveLength(1);
  expect(toSigningKeys([secret(24), secret(32)])).toHaveLength(2);
});

test('a secret that is short, empty or no secret is refused, and not shown', () => {
  const wrong = ['whsec_', 'whsec_c2hvcnQ=', 'a password that is long enough, but none', 'whsec_?'].map(
    (text) => [new Secret(text)],
  );
  for (const secrets of [...wrong, [secret(24), secret(24), secret(24)]]) {
    expect(() => toSigningKeys(secrets)).toThrow(SetupError);
    expect(() => toSigningKeys(secrets)).not.toThrow(/password/);
  }
});
