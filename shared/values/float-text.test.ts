import fc from 'fast-check';
import { expect, test } from 'vitest';
import { doubleText, floatText } from './float-text.ts';

test('a float8 reads back as itself, the sign of zero included', () => {
  fc.assert(
    fc.property(fc.double(), (value) => {
      expect(Number(doubleText(value))).toBe(value);
    }),
  );
});

test('a float4 reads back as itself, the sign of zero included', () => {
  fc.assert(
    fc.property(fc.float(), (value) => {
      expect(Math.fround(Number(floatText(value)))).toBe(value);
    }),
  );
});

test('a float4 has no more digits than it needs', () => {
  expect(floatText(Math.fround(0.1))).toBe('0.1');
  expect(floatText(Math.fround(3.4028235e38))).toBe('3.4028235e+38');
  expect(floatText(Math.fround(1e-45))).toBe('1e-45');
  expect(floatText(16777216)).toBe('16777216');
  expect(floatText(-Math.fround(1.1))).toBe('-1.1');
});

test('at a power of two the shortest float4 may lie above the nearest decimal', () => {
  expect(floatText(2 ** 90)).toBe('1.2379401e+27');
  expect(floatText(2 ** -96)).toBe('1.2621775e-29');
  expect(floatText(2 ** 87)).toBe('1.5474251e+26');
});

test('halfway between two decimals the even one is taken, as PostgreSQL does', () => {
  expect(floatText(1217435.25)).toBe('1217435.2');
  expect(floatText(1217435.75)).toBe('1217435.8');
});
