import { expect, test } from 'vitest';
import { ANONYMOUS, accountOf, actorOf, authorize, limitedAccountOf } from './caller.ts';

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
