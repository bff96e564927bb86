import { expect, test } from 'vitest';
import { createPlaces } from './concurrency-limiter.ts';

test('an account has its share of the places at most, all together no more than there are', () => {
  const places = createPlaces({ max: 3, perAccount: 2 });
  const first = places.take('a');
  expect(first).toBeDefined();
  expect(places.take('a')).toBeDefined();
  expect(places.take('a')).toBeUndefined();
  expect(places.take('b')).toBeDefined();
  expect(places.take('c')).toBeUndefined();
  first?.();
  first?.();
  expect(places.take('c')).toBeDefined();
  expect(places.take('b')).toBeUndefined();
});

test('who waits for a place gets the next one that its account may have, in the order of coming', async () => {
  const places = createPlaces({ max: 2, perAccount: 1 });
  const [a, b] = [places.take('a'), places.take('b')];
  const come: string[] = [];
  const wait = async (accountId: string, name: string) => {
    const leave = await places.takeSoon(accountId, 60_000);
    come.push(name);
    return leave;
  };
  const waiting = [wait('a', 'a2'), wait('c', 'c1'), wait('d', 'd1')];
  b?.();
  const leave = await waiting[1];
  expect(come).toEqual(['c1']);
  a?.();
  await waiting[0];
  expect(come).toEqual(['c1', 'a2']);
  if (typeof leave === 'function') leave();
  await waiting[2];
  expect(come).toEqual(['c1', 'a2', 'd1']);
});

test('who waits in vain is told whose places are taken', async () => {
  const places = createPlaces({ max: 2, perAccount: 1 });
  const leave = places.take('a');
  expect(await places.takeSoon('a', 1)).toBe('account');
  places.take('b');
  expect(await places.takeSoon('c', 1)).toBe('all');
  leave?.();
  expect(places.take('c')).toBeDefined();
});
