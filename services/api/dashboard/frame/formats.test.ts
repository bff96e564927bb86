import { expect, test } from 'vitest';
import { languageOf } from '../messages/messages.ts';
import { createFormats } from './formats.ts';

const AT = '2026-03-01T09:30:00.000Z';
const formats = createFormats(languageOf('en-US'), Date.parse(AT));
const later = (seconds: number) => new Date(Date.parse(AT) + seconds * 1_000).toISOString();

test.each([
  [0, 'now'],
  [-20, '20 seconds ago'],
  [-100, '2 minutes ago'],
  [3_600, 'in 1 hour'],
  [-86_400, 'yesterday'],
  [-86_400 * 40, '40 days ago'],
])('%i seconds from now is “%s”', (seconds, text) => {
  expect(formats.relative(later(seconds))).toBe(text);
});

test('a time has its UTC at hand', () => {
  expect(String(formats.time(AT))).toContain('title="Mar 1, 2026, 9:30:00');
  expect(createFormats(languageOf('en-GB'), 0).utc(AT)).toBe('1 Mar 2026, 09:30:00 UTC');
  expect(formats.time(null)).toBe('–');
});

test.each([
  [0, '0 bytes'],
  [1, '1 byte'],
  [999, '999 bytes'],
  [1_000, '1 kB'],
  [45_678, '45.7 kB'],
  [9_876_543_210, '9.9 GB'],
  [5e18, '5,000,000 TB'],
])('%d bytes are “%s”', (bytes, text) => {
  expect(formats.bytes(bytes)).toBe(text);
});

test('durations and numbers', () => {
  expect([formats.duration(0), formats.duration(59), formats.duration(3_600)]).toEqual([
    '0 sec',
    '59 sec',
    '1 hr',
  ]);
  expect([formats.number(1_234_567), formats.percent(0.456)]).toEqual(['1,234,567', '46%']);
});
