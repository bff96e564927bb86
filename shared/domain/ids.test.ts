import { expect, test } from 'vitest';
import { isId, newId } from './ids.ts';

test('IDs carry their prefix and sort by time', () => {
  const earlier = newId('exp', 1_700_000_000_000);
  const later = newId('exp', 1_700_000_000_001);
  expect(isId('exp', earlier)).toBe(true);
  expect(isId('whk', earlier)).toBe(false);
  expect(earlier < later).toBe(true);
});

test('a thousand IDs of one millisecond are all different', () => {
  expect(new Set(Array.from({ length: 1000 }, () => newId('key', 1))).size).toBe(1000);
});
