import { expect, test } from 'vitest';
import { createKeyLookup } from './key-lookup.ts';

const known = (keyHash: Buffer) => ({ id: 'key_1', accountId: 'acct_1', scopes: [], keyHash });
const hash = (name: string) => Buffer.from(name);

test('a flood of unknown keys costs few queries, one at a time, and a known key among them is found', async () => {
  const sizes: number[] = [];
  let atOnce = 0;
  const keys = createKeyLookup(async (keyHashes) => {
    sizes.push(keyHashes.length);
    atOnce += 1;
    expect(atOnce).toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    atOnce -= 1;
    return keyHashes.filter((keyHash) => keyHash.equals(hash('good'))).map(known);
  });
  const flood = Array.from({ length: 2_500 }, (_, n) => keys.findKey(hash(`bad ${n}`)));
  expect(await keys.findKey(hash('good'))).toMatchObject({ id: 'key_1' });
  expect(new Set(await Promise.all(flood))).toEqual(new Set([undefined]));
  expect(sizes).toEqual([1, 1_000, 1_000, 500]);
});

test('a failed query fails its own lookups, and the next ones are queried', async () => {
  let isAway = true;
  const keys = createKeyLookup(async (keyHashes) => {
    if (isAway) throw new Error('away');
    return keyHashes.map(known);
  });
  const asked = [keys.findKey(hash('a')), keys.findKey(hash('b'))];
  for (const one of await Promise.allSettled(asked)) expect(one.status).toBe('rejected');
  isAway = false;
  expect(await keys.findKey(hash('a'))).toMatchObject({ accountId: 'acct_1' });
});
