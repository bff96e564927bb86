import { expect, test } from 'vitest';
import { parseFilter } from '../../../shared/domain/bulk-filter.ts';
import { filterFamily } from '../../../shared/values/filter-values.ts';
import { type ColumnText, compileRowFilter } from './row-filter.ts';

const TYPES: Readonly<Record<string, string>> = { status: 'text', count: 'int4', total: 'numeric(12,2)' };

function matches(input: Record<string, unknown>, row: Record<string, ColumnText>): boolean | undefined {
  const filter = compileRowFilter(parseFilter(input), (name) => filterFamily(TYPES[name] ?? '') ?? 'text');
  return filter((name) => row[name]);
}

test('as in SQL, a condition on NULL does not hold, ne neither', () => {
  const row = { status: null, count: '1' };
  expect(matches({ status: { eq: 'draft' } }, row)).toBe(false);
  expect(matches({ status: { ne: 'draft' } }, row)).toBe(false);
  expect(matches({ status: { is_null: true } }, row)).toBe(true);
  expect(matches({ or: [{ status: { ne: 'draft' } }, { count: { gte: 1 } }] }, row)).toBe(true);
});

test('what is not known decides nothing that the rest decides', () => {
  const row = { status: undefined, count: '1' };
  expect(matches({ status: { ne: 'draft' }, count: { gt: 1 } }, row)).toBe(false);
  expect(matches({ status: { ne: 'draft' }, count: { gt: 0 } }, row)).toBeUndefined();
  expect(matches({ or: [{ status: { ne: 'draft' } }, { count: { eq: 1 } }] }, row)).toBe(true);
  expect(matches({ status: { is_null: false } }, row)).toBeUndefined();
});

test('numbers are compared as numbers, whatever their scale', () => {
  expect(matches({ total: { eq: '1.5' } }, { total: '1.50' })).toBe(true);
  expect(matches({ count: { lt: 10 } }, { count: '9' })).toBe(true);
});
