import { expect, test } from 'vitest';
import type { Caller } from './caller.ts';
import { createFairShare } from './fair-share.ts';

const of = (accountId: string): Caller => ({
  kind: 'account',
  accountId,
  keyId: `key_${accountId}`,
  keyPrint: accountId,
  scopes: [],
});

test('an account has a rate, its neighbours and the operator are not touched by it', async () => {
  const share = createFairShare({ requestsPerSecond: 3, maxOpen: 100, maxRunning: 100 });
  for (let count = 0; count < 3; count += 1) (await share.enter(of('a')))();
  await expect(share.enter(of('a'))).rejects.toMatchObject({ code: 'too_many', retryAfterSeconds: 1 });
  await share.enter(of('b'));
  for (let count = 0; count < 10; count += 1) await share.enter({ kind: 'operator', keyPrint: '' });
});

test('a key over its rate is not looked up', async () => {
  let lookups = 0;
  const keys = createFairShare({ requestsPerSecond: 2, maxOpen: 1, maxRunning: 1 }).limit({
    async findKey() {
      lookups += 1;
      return undefined;
    },
  });
  const hash = Buffer.from('k');
  await keys.findKey(hash);
  await keys.findKey(hash);
  await expect(keys.findKey(hash)).rejects.toMatchObject({ code: 'too_many' });
  expect(lookups).toBe(2);
});

test('of the requests of an account some run, some wait, and the rest is refused', async () => {
  const share = createFairShare({ requestsPerSecond: 1_000, maxOpen: 3, maxRunning: 1 });
  const leaves = [await share.enter(of('a')), await share.enter(of('a')), await share.enter(of('a'))];
  await expect(share.enter(of('a'))).rejects.toMatchObject({ code: 'too_many' });
  const end = await share.run(of('a'));
  let hasTurn = false;
  const second = share.run(of('a')).then((leave) => {
    hasTurn = true;
    return leave;
  });
  (await share.run(of('b')))();
  expect(hasTurn).toBe(false);
  end();
  (await second)();
  leaves[0]?.();
  await share.enter(of('a'));
});
