import { expect, test } from 'vitest';
import { summaryLine } from './summary-reporter.ts';

test('the summary is one line that a script can match', () => {
  expect(summaryLine(12, 0)).toBe('12 passed, 0 failed');
});
