import { expect, test } from 'vitest';
import { changesSinceErrors, type ExportScope } from './changes-since.ts';

function scope(
  request: Partial<ExportScope['request']> = {},
  resources: readonly string[] = ['invoices'],
): ExportScope {
  return {
    resources,
    request: {
      resources,
      format: 'jsonl',
      compression: 'none',
      archive: null,
      csv_safe: false,
      include_deleted: false,
      include_related: false,
      date_range: null,
      fields: null,
      changes_since: 'exp_1',
      as_of: null,
      max_rows_per_second: null,
      ...request,
    },
  };
}

const pointers = (base: ExportScope, wanted: ExportScope) =>
  changesSinceErrors(base, wanted).map(({ pointer }) => pointer);

test('the same scope is fine, whatever the format and the order of the resources', () => {
  expect(
    pointers(scope({}, ['invoices', 'customers']), scope({ compression: 'gzip' }, ['customers', 'invoices'])),
  ).toEqual([]);
});

test('another scope is refused, everything at once', () => {
  const range = { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z', field: null };
  const wanted = scope({ include_deleted: true, date_range: range, fields: ['id'] }, ['customers']);
  expect(pointers(scope(), wanted)).toEqual(['/date_range', '/resources', '/include_deleted', '/fields']);
  expect(pointers(scope({ date_range: range }), scope())).toEqual(['/changes_since']);
});

test('related resources need deleted records on both sides', () => {
  const related = { include_related: true };
  expect(pointers(scope(related), scope(related))).toEqual(['/include_related']);
  const all = { include_related: true, include_deleted: true };
  expect(pointers(scope(all), scope(all))).toEqual([]);
});
