import fc from 'fast-check';
import { expect, test } from 'vitest';
import { anyMap } from '../../test/support/any-fields.ts';
import { FilterError, type FilterNode, parseFilter } from './bulk-filter.ts';
import type { MappedField, PublicField } from './public-field.ts';
import { findParamField, toColumnFilter } from './public-names.ts';

const COLUMN_VALUES = ['0', '1', '2', '-3', '99', '12', 'draft', 'open', 'x', 'true', 'false', '', null];

function published({ map, otherwise }: MappedField, value: string | null): string | null {
  return value === null ? null : String(map[value] ?? otherwise ?? value);
}

/** As the SQL of filters: `ne` holds for null, and nothing else does. */
function holds(node: FilterNode, textOf: (column: string) => string | null): boolean {
  if (node.kind === 'group') {
    return node.by === 'and'
      ? node.nodes.every((part) => holds(part, textOf))
      : node.nodes.some((part) => holds(part, textOf));
  }
  const value = textOf(node.column);
  if (node.kind === 'is_null') return (value === null) === node.isNull;
  if (node.kind === 'in') return node.values.some(({ text }) => text === value);
  if (node.kind === 'compare' && node.by === 'eq') return value === node.value.text;
  if (node.kind === 'compare' && node.by === 'ne') return value !== node.value.text;
  throw new Error(node.kind);
}

const operand = fc.oneof(
  fc.constantFrom('draft', 'open', '1', '42', 'x', '', 'no such value'),
  fc.integer({ min: -5, max: 5 }),
  fc.boolean(),
);

test('a filter on named values holds for the rows that are published so, or is refused', () => {
  fc.assert(
    fc.property(anyMap, operand, fc.constantFrom('eq', 'ne', 'in'), (field, value, by) => {
      const filter = parseFilter({ mapped: { [by]: by === 'in' ? [value] : value } });
      const canHold = (column: string, text: string) =>
        column === 'label' ||
        (column === 'state' ? /^-?\d+$/.test(text) : text === 'true' || text === 'false');
      let columns: FilterNode;
      try {
        columns = toColumnFilter(filter, { name: 'samples', fields: [field] }, canHold);
      } catch (error) {
        if (!(error instanceof FilterError)) throw error;
        // Refused: no record can have the value.
        for (const text of COLUMN_VALUES.filter((each) => each === null || canHold(field.column, each))) {
          const isAlike = typeof value === typeof Object.values(field.map)[0];
          if (isAlike) expect(published(field, text)).not.toBe(String(value));
        }
        return;
      }
      for (const text of COLUMN_VALUES.filter((each) => each === null || canHold(field.column, each))) {
        expect(holds(columns, () => text)).toBe(holds(filter, () => published(field, text)));
      }
    }),
    { numRuns: 2_000 },
  );
});

test('other fields are filtered by their columns, and what has no column says so', () => {
  const fields: PublicField[] = [
    { name: 'id', column: 'key' },
    { name: 'currency', value: 'EUR' },
    { name: 'city', column: 'data', path: ['city'], type: 'text' },
    { name: 'status', column: 'state', map: { 0: 'draft' }, otherwise: 'other' },
  ];
  const filter = (input: Record<string, unknown>) =>
    toColumnFilter(parseFilter(input), { name: 'deals', fields }, () => true);
  expect(filter({ id: { gt: 5 } })).toMatchObject({
    nodes: [{ column: 'key', by: 'gt', pointer: '/filter/id/gt' }],
  });
  expect(() => filter({ key: { eq: 5 } })).toThrow('deals has no field "key"');
  expect(() => filter({ currency: { eq: 'EUR' } })).toThrow('has the same value in every record');
  expect(filter({ city: { eq: 'Bern' } })).toMatchObject({
    nodes: [{ column: 'data', member: { path: ['city'], type: 'text' } }],
  });
  expect(() => filter({ status: { gt: 'draft' } })).toThrow('takes eq, ne, in and is_null');
  expect(() => filter({ status: { eq: 'opne' } })).toThrow('which are "draft", "other"');
});

test('an operation takes a column by its own field, or by a map that reads backwards', () => {
  const mapped: PublicField = { name: 'status', column: 'state', map: { 0: 'draft', 1: 'open' } };
  const twofold: PublicField = { name: 'status', column: 'state', map: { 0: 'draft', 1: 'draft' } };
  expect(findParamField([mapped, { name: 'code', column: 'state' }], 'state')?.name).toBe('code');
  expect(findParamField([mapped], 'state')?.name).toBe('status');
  expect(findParamField([twofold], 'state')).toBeUndefined();
});
