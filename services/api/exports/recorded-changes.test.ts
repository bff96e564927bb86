import { expect, test } from 'vitest';
import { parseExportRequest } from '../../../shared/control/exports/export-request.ts';
import type { ExportRequest } from '../../../shared/domain/export-request.ts';
import { asOfErrors, changesSinceErrors, type ExportScope } from './recorded-changes.ts';

function scope(
  request: Partial<ExportScope['request']> = {},
  resources: readonly string[] = ['invoices'],
): ExportScope {
  return {
    resources,
    request: { ...parseExportRequest({ resources, changes_since: 'exp_1' }), ...request },
  };
}

const changesSincePointers = (base: ExportScope, wanted: ExportScope) =>
  changesSinceErrors(base, wanted).map(({ pointer }) => pointer);

test('the same scope is accepted with any format and order of the resources', () => {
  expect(
    changesSincePointers(
      scope({}, ['invoices', 'customers']),
      scope({ compression: 'gzip' }, ['customers', 'invoices']),
    ),
  ).toEqual([]);
});

test('another scope is refused with all its faults at once', () => {
  const range = { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z', field: null };
  const wanted = scope({ include_deleted: true, date_range: range, fields: ['id'] }, ['customers']);
  expect(changesSincePointers(scope(), wanted)).toEqual([
    '/date_range',
    '/resources',
    '/include_deleted',
    '/fields',
  ]);
  expect(changesSincePointers(scope({ date_range: range }), scope())).toEqual(['/changes_since']);
});

test('related resources need deleted records on both sides', () => {
  const related = { include_related: true };
  expect(changesSincePointers(scope(related), scope(related))).toEqual(['/include_related']);
  const all = { include_related: true, include_deleted: true };
  expect(changesSincePointers(scope(all), scope(all))).toEqual([]);
});

const NOW_MS = Date.parse('2026-03-01T12:00:00Z');
const KEPT_SINCE_MS = Date.parse('2026-02-01T00:00:00Z');

const asOfPointers = (request: Partial<ExportRequest>) =>
  asOfErrors(
    { ...parseExportRequest({ resources: ['invoices'], as_of: '2026-02-15T00:00:00Z' }), ...request },
    NOW_MS,
    KEPT_SINCE_MS,
  ).map(({ pointer }) => pointer);

test('as_of is neither in the future nor older than the retained changes, to the microsecond', () => {
  expect(asOfPointers({})).toEqual([]);
  expect(asOfPointers({ as_of: '2026-03-01T12:00:00Z' })).toEqual([]);
  expect(asOfPointers({ as_of: '2026-03-01T12:00:00.000001Z' })).toEqual(['/as_of']);
  expect(asOfPointers({ as_of: '2026-02-01T00:00:00Z' })).toEqual([]);
  expect(asOfPointers({ as_of: '2026-01-31T23:59:59.999999Z' })).toEqual(['/as_of']);
});

test('as_of takes related records only where each record is selected by itself', () => {
  const date_range = { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z', field: null };
  expect(asOfPointers({ include_related: true })).toEqual(['/include_related']);
  expect(asOfPointers({ include_related: true, include_deleted: true })).toEqual([]);
  expect(asOfPointers({ include_related: true, include_deleted: true, date_range })).toEqual([
    '/include_related',
  ]);
  expect(asOfPointers({ date_range })).toEqual([]);
});

test('changes_since cannot be combined with as_of', () => {
  expect(asOfPointers({ changes_since: 'exp_1' })).toEqual(['/changes_since']);
});
