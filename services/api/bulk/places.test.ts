import { expect, test } from 'vitest';
import { createPlaces } from './places.ts';

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
