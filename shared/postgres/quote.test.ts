import { expect, test } from 'vitest';
import { quoteIdent, quoteLiteral, quoteTable } from './quote.ts';

test('an identifier keeps case, dots and emoji, and its quotes are doubled', () => {
  expect(quoteIdent('Weird."Name" 🧾')).toBe('"Weird.""Name"" 🧾"');
  expect(quoteTable({ schema: 'my.schema', name: 'Orders' })).toBe('"my.schema"."Orders"');
});

test('a name that PostgreSQL can not have is refused', () => {
  expect(() => quoteIdent('')).toThrow(RangeError);
  expect(() => quoteIdent('a\0b')).toThrow(RangeError);
});

test('a literal can not be left from inside', () => {
  expect(quoteLiteral("it's")).toBe("'it''s'");
  expect(quoteLiteral("\\'; DROP TABLE x; --")).toBe("E'\\\\''; DROP TABLE x; --'");
  expect(() => quoteLiteral('a\0b')).toThrow(RangeError);
});
