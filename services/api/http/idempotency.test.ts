import { expect, test } from 'vitest';
import { readIdempotencyKey } from './idempotency.ts';

test('a key may be quoted, and means the same', () => {
  expect(readIdempotencyKey('k')).toBe('k');
  expect(readIdempotencyKey('"k"')).toBe('k');
  expect(readIdempotencyKey(' "a \\"b\\" c" ')).toBe('a "b" c');
  expect(readIdempotencyKey('x'.repeat(255))).toHaveLength(255);
  expect(readIdempotencyKey(undefined)).toBeUndefined();
});

test.each(['', '""', '  ', 'x'.repeat(256), 'a\tb', 'a\x7fb', '"\x01"'])('%j is no key', (header) => {
  expect(() => readIdempotencyKey(header)).toThrow('Idempotency-Key');
});
