import { expect, test } from 'vitest';
import { envReader } from '../runtime/env.ts';
import { SetupError } from '../runtime/errors.ts';
import { readHandlerSecrets, toSigningKeys } from './handler-secrets.ts';

const secret = (bytes: number) => `whsec_${Buffer.alloc(bytes, 7).toString('base64')}`;

function keysOf(...secrets: string[]) {
  const read = envReader({ BULK_HANDLER_SECRETS: secrets.join(',') });
  return toSigningKeys(read.done(readHandlerSecrets(read)));
}

test('one secret is taken, or two, and none is allowed', () => {
  expect(keysOf()).toEqual([]);
  expect(keysOf(secret(24))).toHaveLength(1);
  expect(keysOf(secret(24), secret(32))).toHaveLength(2);
});

test('a secret that is short, empty or no secret is refused, and not shown', () => {
  const wrong = ['whsec_', 'whsec_c2hvcnQ=', 'a password that is long enough', 'whsec_?'].map((text) => [
    text,
  ]);
  for (const secrets of [...wrong, [secret(24), secret(24), secret(24)]]) {
    expect(() => keysOf(...secrets)).toThrow(SetupError);
    expect(() => keysOf(...secrets)).not.toThrow(/password/);
  }
});
