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

test('every character of the random part takes every value, and no two IDs share it', () => {
  const parts = Array.from({ length: 1_000 }, () => newId('req', 1).slice(-16));
  expect(new Set(parts).size).toBe(parts.length);
  for (let at = 0; at < 16; at += 1) expect(new Set(parts.map((part) => part[at])).size).toBe(32);
});
