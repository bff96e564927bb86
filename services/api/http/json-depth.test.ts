import { expect, test } from 'vitest';
import { MAX_JSON_DEPTH, requireShallow } from './json-depth.ts';

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

test('as deep as the limit is let through, one deeper is refused', () => {
  requireShallow(nested(MAX_JSON_DEPTH));
  expect(() => requireShallow(nested(MAX_JSON_DEPTH + 1))).toThrow('nested at most 64 deep');
  expect(() => requireShallow(`{"a":${nested(MAX_JSON_DEPTH)}}`)).toThrow();
});

test('what stands side by side is not deep, nor what stands in a text', () => {
  requireShallow(`[${Array.from({ length: 1_000 }, () => '{"a":[]}').join(',')}]`);
  requireShallow(JSON.stringify({ a: '['.repeat(100), ['"[\\'.repeat(100)]: '\\"'.repeat(100) }));
});
