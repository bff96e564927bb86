import fc from 'fast-check';
import { expect, test } from 'vitest';
import { literalOf } from './literal.ts';

test('a literal is the value again, in JSON and in JavaScript', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
      // JSON has no negative zero.
      const plain = JSON.parse(JSON.stringify(value));
      expect(JSON.parse(literalOf(value))).toEqual(plain);
      const text = literalOf(value, 'typescript');
      // `__proto__` without quotes is no member.
      fc.pre(!text.includes('__proto__'));
      expect(new Function(`return (${text});`)()).toEqual(plain);
    }),
  );
});

test('what is short stays on one line', () => {
  const body = { resources: ['invoices', 'customers'], start: { after_export: 'exp_1' } };
  expect(literalOf(body)).toBe(
    '{\n  "resources": ["invoices", "customers"],\n  "start": { "after_export": "exp_1" }\n}',
  );
  expect(literalOf(body, 'python')).toBe(
    '{\n    "resources": ["invoices", "customers"],\n    "start": {"after_export": "exp_1"},\n}',
  );
  expect(literalOf({ 'a-b': "it's", ok: null }, 'typescript')).toBe(`{\n  'a-b': "it's",\n  ok: null,\n}`);
});
