import { expect, test } from 'vitest';
import { UnreadableRequestError } from '../stored-request.ts';
import { parseExportRequest } from './export-request.ts';

test('a stored request has every member, also one that an earlier version stored without them', () => {
  expect(parseExportRequest({ resources: ['orders'], date_range: null })).toEqual({
    resources: ['orders'],
    format: 'jsonl',
    compression: 'none',
    archive: null,
    csv_safe: false,
    buckets: null,
    include_deleted: false,
    include_related: false,
    date_range: null,
    fields: null,
    changes_since: null,
    as_of: null,
    max_rows_per_second: null,
    snapshot: null,
  });
  const stored = {
    resources: ['orders'],
    format: 'csv',
    compression: 'gzip',
    archive: 'zip',
    csv_safe: true,
    buckets: [7],
    include_deleted: true,
    include_related: true,
    date_range: { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z', field: 'created_at' },
    fields: ['id'],
    changes_since: 'exp_1',
    as_of: '2026-01-15T00:00:00Z',
    max_rows_per_second: 1_000,
    snapshot: 'chunked',
  };
  expect(parseExportRequest({ ...stored, of_a_later_version: 1 })).toEqual(stored);
});

test('a format of a later version is for the writer to refuse, and what is no request is unreadable', () => {
  expect(parseExportRequest({ resources: [], format: 'orc' }).format).toBe('orc');
  expect(() => parseExportRequest({})).toThrow(UnreadableRequestError);
  expect(() => parseExportRequest({ resources: [], max_rows_per_second: -1 })).toThrow(
    UnreadableRequestError,
  );
});
