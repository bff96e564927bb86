import { expect, test } from 'vitest';
import { createAccountChains } from './account-chains.ts';

const at = (lsn: number) => ({ commitLsn: BigInt(lsn), index: 0 });

test('events follow those of the same account, and nothing is known of the first ones', () => {
  const chains = createAccountChains();
  expect(chains.extend('a', at(10))).toBeUndefined();
  expect(chains.extend('b', at(11))).toBeUndefined();
  expect(chains.extend('a', at(12))).toEqual(at(10));
  expect(chains.extend('a', at(13))).toEqual(at(12));
});

test('events that come a second time leave the end where it was', () => {
  const chains = createAccountChains();
  chains.extend('a', at(10));
  expect(chains.extend('a', at(5))).toEqual(at(10));
  expect(chains.extend('a', at(20))).toEqual(at(10));
});

test('too many accounts are forgotten rather than kept', () => {
  const chains = createAccountChains(2);
  for (const account of ['a', 'b', 'c']) chains.extend(account, at(10));
  expect(chains.extend('a', at(20))).toBeUndefined();
  expect(chains.extend('c', at(20))).toEqual(at(10));
});
