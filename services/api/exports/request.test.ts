import { expect, test } from 'vitest';
import type { Catalog, Resource } from '../../../shared/domain/catalog.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { validate } from '../http/validate.ts';
import { exportBodyRules, exportBodySchema, resolveExport, resourcesOf } from './request.ts';

function resource(name: string, more: Partial<Resource> = {}): Resource {
  return {
    name,
    table: { schema: 'public', name },
    event: name.slice(0, -1),
    key: ['id'],
    account: 'account_id',
    range: 'created_at',
    softDelete: undefined,
    hide: [],
    related: [],
    operations: {},
    syncLimit: 100,
    ...more,
  };
}

const catalog: Catalog = {
  name: 'test',
  resources: [
    resource('invoices', { related: ['customers', 'lines'] }),
    resource('customers'),
    resource('lines', { related: ['products'] }),
    resource('products', { range: undefined }),
    resource('logs', { range: 'at' }),
  ],
};
const NOW = Date.parse('2026-03-01T12:00:00.500Z');
const parse = (body: unknown) => validate(exportBodySchema(catalog), body, 'body', exportBodyRules);
const resolve = (body: unknown) => resolveExport(parse(body), catalog, NOW);

function errorsOf(work: () => unknown): Record<string, string> {
  try {
    work();
  } catch (error) {
    if (error instanceof AppError) return Object.fromEntries(error.errors.map((e) => [e.pointer, e.detail]));
    throw error;
  }
  return {};
}

test('the smallest request gets every default', () => {
  expect(resolve({ resource: 'customers' })).toEqual({
    resources: ['customers'],
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
    snapshot: null,
    max_rows_per_second: null,
  });
});

test('all faults are reported at once, with pointers', () => {
  const errors = errorsOf(() =>
    parse({
      resources: ['invoices', 'nope'],
      format: 'xml',
      include_deleted: 'yes',
      colour: 'red',
      'a/b~c': 1,
      date_range: { from: '2024-02-30T00:00:00Z', to: '2024-01-01' },
    }),
  );
  expect(Object.keys(errors).sort()).toEqual(
    [
      '/a~1b~0c',
      '/colour',
      '/date_range/from',
      '/date_range/to',
      '/format',
      '/include_deleted',
      '/resources/1',
    ].sort(),
  );
  expect(errors['/colour']).toBe('unknown field "colour"');
});

test('a missing resource is reported together with other faults', () => {
  expect(errorsOf(() => parse({ colour: 'red' }))).toMatchObject({
    '/resource': expect.any(String),
    '/colour': expect.any(String),
  });
  expect(errorsOf(() => parse({ resource: 'invoices', resources: ['customers'] }))).toHaveProperty(
    '/resources',
  );
  expect(errorsOf(() => parse([]))).toHaveProperty('');
});

test('as_of has a zone, and is stored in UTC to the microsecond', () => {
  expect(errorsOf(() => parse({ resource: 'invoices', as_of: '2026-01-31T00:00:00' }))['/as_of']).toContain(
    'with a zone',
  );
  const asOf = (text: string) => resolve({ resource: 'invoices', as_of: text }).as_of;
  expect(asOf('2026-01-31T01:00:00.000001+01:00')).toBe('2026-01-31T00:00:00.000001Z');
});

test.each([
  { format: 'csv', compression: 'zstd', archive: 'zip', csv_safe: true },
  { format: 'csv', compression: 'gzip', archive: null, csv_safe: false },
  { format: 'parquet', compression: 'none', archive: 'zip', csv_safe: false },
])('the output $format, $compression, $archive is taken', (output) => {
  expect(resolve({ resource: 'invoices', ...output })).toMatchObject(output);
});

test.each([
  [{ format: 'parquet', compression: 'gzip' }, '/compression'],
  [{ format: 'parquet', compression: 'zstd', archive: 'zip' }, '/compression'],
  [{ csv_safe: true }, '/csv_safe'],
  [{ format: 'csv', archive: 'tar' }, '/archive'],
  [{ compression: 'brotli' }, '/compression'],
  [{ buckets: [1] }, '/buckets'],
  [{ format: 'digest', buckets: [256] }, '/buckets/0'],
  [{ format: 'digest', compression: 'gzip' }, '/compression'],
  [{ format: 'digest', archive: 'zip' }, '/archive'],
  [{ format: 'digest', changes_since: 'exp_1' }, '/changes_since'],
])('the output %j is refused at %s', (output, pointer) => {
  expect(Object.keys(errorsOf(() => parse({ resource: 'invoices', ...output })))).toEqual([pointer]);
});

test('a digest is of the time of the request, unless it names one', () => {
  const digest = { resource: 'invoices', format: 'digest' };
  expect(resolve(digest)).toMatchObject({ as_of: '2026-03-01T12:00:00.5Z', buckets: null });
  expect(resolve({ ...digest, as_of: '2026-01-01T00:00:00Z', buckets: [7, 7, 0] })).toMatchObject({
    as_of: '2026-01-01T00:00:00Z',
    buckets: [7, 0],
  });
});

test('related resources are included over any number of steps, each once', () => {
  const request = resolve({ resource: 'invoices', include_related: true });
  expect(request.resources).toEqual(['invoices']);
  expect(resourcesOf(request, catalog)).toEqual(['invoices', 'customers', 'lines', 'products']);
});

test('a date range is stored in UTC, and ends now by default', () => {
  expect(
    resolve({ resource: 'customers', date_range: { from: '2026-01-01T01:00:00+01:00' } }).date_range,
  ).toEqual({
    from: '2026-01-01T00:00:00Z',
    to: '2026-03-01T12:00:00.5Z',
    field: 'created_at',
  });
});

test('a date range needs an order, and a column in each resource', () => {
  const from = '2026-01-01T00:00:00.000001Z';
  expect(
    errorsOf(() => resolve({ resource: 'customers', date_range: { from, to: '2026-01-01T00:00:00Z' } })),
  ).toHaveProperty('/date_range/from');
  expect(errorsOf(() => resolve({ resource: 'products', date_range: { from } }))).toHaveProperty(
    '/date_range',
  );
  const field = (body: unknown) => resolve(body).date_range?.field;
  expect(field({ resources: ['customers', 'logs'], date_range: { from } })).toBeNull();
  expect(field({ resource: 'products', date_range: { from, field: 'updated_at' } })).toBe('updated_at');
});
