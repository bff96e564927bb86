import { expect, test } from 'vitest';
import { idempotencyKeyOf, reasonOf } from './call-handler.ts';

test('a handler’s reason is a field of its JSON, or its text', () => {
  expect(reasonOf('{"reason": "no template", "message": "x"}')).toBe('no template');
  expect(reasonOf('{"detail": "too old"}')).toBe('too old');
  expect(reasonOf('{"error": {"a": 1}}')).toBeUndefined();
  expect(reasonOf('plain text\n')).toBe('plain text');
  expect(reasonOf('')).toBeUndefined();
  expect(reasonOf('x'.repeat(9_999))).toHaveLength(500);
});

test('a key carries any ID in a header, each another, and plain ones as they are', () => {
  expect(idempotencyKeyOf('blk_1', '42')).toBe('blk_1/42');
  expect(idempotencyKeyOf('blk_1', '["a","b"]')).toBe('blk_1/["a","b"]');
  expect(idempotencyKeyOf('blk_1', '日本')).toBe('blk_1/%E6%97%A5%E6%9C%AC');
  expect(idempotencyKeyOf('blk_1', 'a\r\nb c%')).toBe('blk_1/a%0D%0Ab%20c%25');
  expect(idempotencyKeyOf('blk_1', '日'.repeat(1_000))).toMatch(/^blk_1\/sha256:[0-9a-f]{64}$/);
});
