import { expect, test } from 'vitest';
import { parseExportRequest, UnreadableRequestError } from './export-request.ts';

test('a stored request has every member, also one that an earlier version stored without them', () => {
  expect(parseExportRequest({ resources: ['orders'], date_range: null })).toEqual({
    resources: ['orders'],
    output: { format: 'jsonl', compression: 'none', archive: null, isCsvSafe: false },
    includeDeleted: false,
    includeRelated: false,
    dateRange: undefined,
    fields: null,
    changesSince: null,
    asOf: null,
    maxRowsPerSecond: null,
  });
  expect(
    parseExportRequest({
      resources: ['orders'],
      format: 'csv',
      compression: 'gzip',
      archive: 'zip',
      csv_safe: true,
      include_deleted: true,
      date_range: { from: '2026-01-01T00:00:00Z', field: 'created_at' },
      fields: ['id'],
      changes_since: 'exp_1',
      of_a_later_version: 1,
    }),
  ).toMatchObject({
    output: { format: 'csv', compression: 'gzip', archive: 'zip', isCsvSafe: true },
    includeDeleted: true,
    dateRange: { from: '2026-01-01T00:00:00Z', to: null, field: 'created_at' },
    fields: ['id'],
    changesSince: 'exp_1',
  });
});

test('a format of a later version is for the writer to refuse, and what is no request is unreadable', () => {
  expect(parseExportRequest({ resources: [], format: 'orc' }).output.format).toBe('orc');
  expect(() => parseExportRequest({})).toThrow(UnreadableRequestError);
  expect(() => parseExportRequest({ resources: [], max_rows_per_second: -1 })).toThrow(
    UnreadableRequestError,
  );
});
