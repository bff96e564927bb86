import { expect, test } from 'vitest';
import { ExportFailedError } from '../extraction-errors.ts';
import { parseExportRequest, resourceOf } from './export-request.ts';

test('a stored request keeps what selects rows, and other members are passed over', () => {
  expect(
    parseExportRequest({
      resources: ['orders'],
      format: 'jsonl',
      include_deleted: true,
      date_range: { from: '2026-01-01T00:00:00Z', field: 'created_at' },
    }),
  ).toEqual({
    resources: ['orders'],
    includeDeleted: true,
    includeRelated: false,
    dateRange: { from: '2026-01-01T00:00:00Z', to: null, field: 'created_at' },
    changesSince: null,
    asOf: null,
    maxRowsPerSecond: null,
  });
  expect(parseExportRequest({ resources: ['orders'], date_range: null })).toEqual({
    resources: ['orders'],
    includeDeleted: false,
    includeRelated: false,
    dateRange: undefined,
    changesSince: null,
    asOf: null,
    maxRowsPerSecond: null,
  });
});

test('a request that can not be read, or a resource that has left the catalog, fails the export', () => {
  expect(() => parseExportRequest({})).toThrow(ExportFailedError);
  expect(() => resourceOf({ name: 'shop', resources: [] }, 'orders')).toThrow(ExportFailedError);
});
