import { expect, test } from 'vitest';
import { Secret } from '../../../shared/runtime/env.ts';
import { ANONYMOUS, accountOf, actorOf, authenticate, authorize, limitedAccountOf } from './caller.ts';

test('a request of a public route has no right to any other, and no account', async () => {
  expect(() => authorize(ANONYMOUS, 'public')).not.toThrow();
  for (const access of ['operator', 'exports:read'] as const) {
    expect(() => authorize(ANONYMOUS, access)).toThrow(expect.objectContaining({ code: 'unauthorized' }));
  }
  const exists = async () => true;
  const named = { pointer: 'account_id', accountId: 'acct_1' };
  expect(await accountOf(ANONYMOUS, 'none', named, exists)).toBeNull();
  for (const rule of ['any', 'one'] as const) {
    await expect(accountOf(ANONYMOUS, rule, named, exists)).rejects.toMatchObject({ code: 'unauthorized' });
  }
  expect([actorOf(ANONYMOUS), limitedAccountOf(ANONYMOUS)]).toEqual(['anonymous', undefined]);
});

test('strangers are refused by errors that are made once, because each would collect its stack', async () => {
  const refusalOf = (authorization: string | undefined) =>
    authenticate(authorization, new Secret('operator'), { findKey: async () => undefined }).catch(
      (error: unknown) => error,
    );
  for (const authorization of [undefined, 'Bearer tk_unknown']) {
    const refusal = await refusalOf(authorization);
    expect(refusal).toMatchObject({ code: 'unauthorized' });
    expect(await refusalOf(authorization)).toBe(refusal);
  }
});
