import { expect, test } from 'vitest';
import { rawTypes, SESSION_OPTIONS, TEXT_SESSION_OPTIONS } from './text-session.ts';

test('every setting is an option of its own, with spaces inside values escaped', () => {
  expect(TEXT_SESSION_OPTIONS).toContain('-c DateStyle=ISO,MDY ');
  expect(SESSION_OPTIONS).toContain('-c default_transaction_isolation=read\\ committed ');
  expect(
    `${SESSION_OPTIONS} ${TEXT_SESSION_OPTIONS}`
      .replaceAll('\\ ', '')
      .split(' -c ')
      .every((option) => !option.includes(' ', 3)),
  ).toBe(true);
});

test('a value stays the text that PostgreSQL sent', () => {
  const OID_INT8 = 20;
  expect(rawTypes.getTypeParser(OID_INT8)('9223372036854775807')).toBe('9223372036854775807');
});
