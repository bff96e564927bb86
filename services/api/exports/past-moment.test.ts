import { expect, test } from 'vitest';
import type { ExportRequest } from '../../../shared/domain/export-request.ts';
import { pastMomentErrors } from './past-moment.ts';

const NOW_MS = Date.parse('2026-03-01T12:00:00Z');
const KEPT_SINCE_MS = Date.parse('2026-02-01T00:00:00Z');

const pointers = (request: Partial<ExportRequest>) =>
  pastMomentErrors(
    {
      resources: ['invoices'],
      format: 'jsonl',
      compression: 'none',
      archive: null,
      csv_safe: false,
      include_deleted: false,
      include_related: false,
      date_range: null,
      fields: null,
      changes_since: null,
      as_of: '2026-02-15T00:00:00Z',
      max_rows_per_second: null,
      ...request,
    },
    NOW_MS,
    KEPT_SINCE_MS,
  ).map(({ pointer }) => pointer);

test('a moment is neither in the future nor older than what is kept, to the microsecond', () => {
  expect(pointers({})).toEqual([]);
  expect(pointers({ as_of: '2026-03-01T12:00:00Z' })).toEqual([]);
  expect(pointers({ as_of: '2026-03-01T12:00:00.000001Z' })).toEqual(['/as_of']);
  expect(pointers({ as_of: '2026-02-01T00:00:00Z' })).toEqual([]);
  expect(pointers({ as_of: '2026-01-31T23:59:59.999999Z' })).toEqual(['/as_of']);
});

test('related records come along only where each is selected by itself', () => {
  const date_range = { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z', field: null };
  expect(pointers({ include_related: true })).toEqual(['/include_related']);
  expect(pointers({ include_related: true, include_deleted: true })).toEqual([]);
  expect(pointers({ include_related: true, include_deleted: true, date_range })).toEqual([
    '/include_related',
  ]);
  expect(pointers({ date_range })).toEqual([]);
});

test('changes are not of a moment', () => {
  expect(pointers({ changes_since: 'exp_1' })).toEqual(['/changes_since']);
});
