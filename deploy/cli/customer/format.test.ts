import { expect, test } from 'vitest';
import {
  createEstimate,
  formatBytes,
  formatFacts,
  formatProgress,
  formatSeconds,
  formatTable,
  printable,
} from './format.ts';

test('sizes and times have one or two units', () => {
  expect([0, 999, 1_000, 1_540_000, 2e15].map(formatBytes)).toEqual([
    '0 B',
    '999 B',
    '1.0 kB',
    '1.5 MB',
    '2000.0 TB',
  ]);
  expect([0, 59.4, 60, 200, 3_600, 7_500, 90_000].map(formatSeconds)).toEqual([
    '0 s',
    '59 s',
    '1 min',
    '3 min 20 s',
    '1 h',
    '2 h 5 min',
    '1 d 1 h',
  ]);
});

test('a bar is full at the end, and not before', () => {
  expect(formatProgress(0.3, '3 of 10 rows', 12)).toBe('██████░░░░░░░░░░░░░░  30 %, 3 of 10 rows, 12 s left');
  expect(formatProgress(0.9999, 'x', null)).toBe('███████████████████░  99 %, x');
  expect(formatProgress(1.2, '', undefined)).toBe('████████████████████ 100 %');
});

test('the rest is estimated by the speed of the last seconds', () => {
  let nowMs = 0;
  const estimate = createEstimate(() => nowMs);
  expect(estimate(500, 1_000)).toBeUndefined();
  nowMs = 2_000;
  expect(estimate(600, 1_000)).toBe(8);
  nowMs = 11_000;
  // The first sample is too old to count.
  expect(estimate(690, 1_000)).toBe(31);
});

test('tables are aligned, and facts without a value are left out', () => {
  expect(
    formatTable([
      ['ID', 'ROWS'],
      ['exp_1', '5'],
    ]),
  ).toEqual(['ID     ROWS', 'exp_1  5']);
  expect(formatFacts({ id: 'a', error: undefined, long_name: 'b', none: null })).toEqual([
    'id         a',
    'long_name  b',
  ]);
});

test('text of others cannot control the terminal', () => {
  expect(printable('a\u001b[2Jb\nc\u009b')).toBe('a\\u001b[2Jb\\u000ac\\u009b');
});
