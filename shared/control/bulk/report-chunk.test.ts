import { expect, test } from 'vitest';
import { addCounts, chargedItems, latestErrors } from './report-chunk.ts';

const error = (seq: number, at: string) => ({ seq, item_id: String(seq), code: 'x', message: '', at });

test('a chunk that is reported again replaces what it said before', () => {
  const job = addCounts({ conflict: 2 }, {}, { not_found: 3 });
  expect(job).toEqual({ conflict: 2, not_found: 3 });
  expect(addCounts(job, { not_found: 3 }, { not_found: 5 })).toEqual({ conflict: 2, not_found: 5 });
  expect(addCounts(job, { not_found: 3 }, {})).toEqual({ conflict: 2 });
});

test('the ten last failures are kept, newest first, each once', () => {
  const known = Array.from({ length: 10 }, (_, index) => error(index, `2026-01-01T00:00:0${index}.000Z`));
  const latest = latestErrors(known, [
    error(9, '2026-01-01T00:00:09.000Z'),
    error(77, '2026-01-01T00:00:09.500Z'),
  ]);
  expect(latest.map(({ seq }) => seq)).toEqual([77, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
});

test('what was done or tried costs quota, and what was skipped or has an impossible ID does not', () => {
  const errorCounts = { invalid_id: 3, not_found: 2, rejected: 1 };
  expect(chargedItems({ succeeded: 10, failed: 6, skipped: 5, errorCounts, recentErrors: [] })).toBe(13);
});
