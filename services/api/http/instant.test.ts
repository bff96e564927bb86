import { expect, test } from 'vitest';
import { formatInstant, instantSchema, parseInstant } from './instant.ts';

test.each([
  ['2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z'],
  ['2026-01-02T03:04:05.123456Z', '2026-01-02T03:04:05.123456Z'],
  ['2026-01-02T03:04:05.100+02:00', '2026-01-02T01:04:05.1Z'],
  ['2024-02-29t00:00:00z', '2024-02-29T00:00:00Z'],
  ['1969-12-31T23:59:59.5Z', '1969-12-31T23:59:59.5Z'],
  ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00Z'],
  ['2026-01-01T00:30:00-05:30', '2026-01-01T06:00:00Z'],
])('%s is %s', (text, utc) => {
  const micros = parseInstant(text);
  expect(micros === undefined ? undefined : formatInstant(micros)).toBe(utc);
});

test.each([
  '2024-02-30T00:00:00Z',
  '2023-02-29T00:00:00Z',
  '2024-13-01T00:00:00Z',
  '2024-00-10T00:00:00Z',
  '2024-01-01T24:00:00Z',
  '2024-01-01T00:60:00Z',
  '2024-01-01T00:00:60Z',
  '2024-01-01T00:00:00',
  '2024-01-01T00:00:00+24:00',
  '0000-06-01T00:00:00Z',
  '0001-01-01T00:00:00+00:01',
  '9999-12-31T23:59:59-00:01',
  '2024-01-01T00:00:00.1234567Z',
  '2024-01-01',
  '01/02/2024',
  '0000-12-31T23:59:59Z',
  '0001-01-01T00:00:00+00:01',
  '9999-12-31T23:59:59-00:01',
  '',
])('%j is not a moment', (text) => {
  expect(parseInstant(text)).toBeUndefined();
});

test('a time in a request becomes UTC, since PostgreSQL refuses zones that RFC 3339 allows', () => {
  expect(instantSchema.parse('2026-06-23T02:28:29.886862+20:00')).toBe('2026-06-22T06:28:29.886862Z');
});
