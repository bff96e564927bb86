import { expect, test } from 'vitest';
import { reasonOf } from './call-handler.ts';

test('a handler’s reason is a field of its JSON, or its text', () => {
  expect(reasonOf('{"reason": "no template", "message": "x"}')).toBe('no template');
  expect(reasonOf('{"detail": "too old"}')).toBe('too old');
  expect(reasonOf('{"error": {"a": 1}}')).toBeUndefined();
  expect(reasonOf('plain text\n')).toBe('plain text');
  expect(reasonOf('')).toBeUndefined();
  expect(reasonOf('x'.repeat(9_999))).toHaveLength(500);
});
