import { expect, test } from 'vitest';
import { idempotencyKeyOf } from './idempotency-key.ts';

test('a key carries any ID in a header, each another, and plain ones as they are', () => {
  expect(idempotencyKeyOf('blk_1', '42')).toBe('blk_1/42');
  expect(idempotencyKeyOf('blk_1', '["a","b"]')).toBe('blk_1/["a","b"]');
  expect(idempotencyKeyOf('blk_1', '日本')).toBe('blk_1/%E6%97%A5%E6%9C%AC');
  expect(idempotencyKeyOf('blk_1', 'a\r\nb c%')).toBe('blk_1/a%0D%0Ab%20c%25');
  expect(idempotencyKeyOf('blk_1', '日'.repeat(1_000))).toMatch(/^blk_1\/sha256:[0-9a-f]{64}$/);
});
