import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RowType } from '../domain/row-type.ts';
import {
  avroFieldNames,
  avroName,
  changeRecordNames,
  ForeignSchemaError,
  readRowSchema,
  rowRecordNames,
  rowSchema,
} from './row-schema.ts';

const rowType: RowType = {
  resource: 'invoices',
  columns: [
    { name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true },
    { name: 'total.€', type: { kind: 'string', pgName: 'numeric(10,4)' }, isKey: false },
    { name: 'tags', type: { kind: 'json', pgName: 'text[]' }, isKey: false },
  ],
};
const names = { namespace: 'tandem.invoices', record: 'Row' };

test('only keys are never null, and every other field has a default', () => {
  expect(rowSchema(rowType, names)).toEqual({
    type: 'record',
    name: 'Row',
    namespace: 'tandem.invoices',
    resource: 'invoices',
    fields: [
      { name: 'id', type: 'long', pg_type: 'int8' },
      {
        name: 'total_x2e__x20ac_',
        type: ['null', 'string'],
        default: null,
        pg_type: 'numeric(10,4)',
        column: 'total.€',
      },
      {
        name: 'tags',
        type: ['null', 'string'],
        default: null,
        pg_type: 'text[]',
        content: 'application/json',
      },
    ],
  });
});

test('the rowType can be read back from the schema', () => {
  expect(readRowSchema(JSON.parse(JSON.stringify(rowSchema(rowType, names))))).toEqual(rowType);
});

test('a schema of another making is refused', () => {
  expect(() => readRowSchema({ type: 'record', name: 'Row', fields: [] })).toThrow(ForeignSchemaError);
});

test('a name that Avro allows stays', () => {
  expect(avroName('account_id')).toBe('account_id');
});

test('other characters are spelled out, the same way whatever stands beside them', () => {
  expect(avroName('total.€')).toBe('total_x2e__x20ac_');
  expect(avroName('2nd')).toBe('_2nd');
  expect(avroName('😀')).toBe('_x1f600_');
});

test('a column that already has the spelled-out name keeps it', () => {
  expect(avroFieldNames(['a.b', 'a_x2e_b'])).toEqual(['a_x2e_b_2', 'a_x2e_b']);
});

test('field names are valid and unique for any columns', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ minLength: 1, unit: 'grapheme' }), { maxLength: 20 }),
      (columns) => {
        const names = avroFieldNames(columns);
        expect(new Set(names).size).toBe(columns.length);
        for (const name of names) expect(name).toMatch(/^[A-Za-z_][A-Za-z0-9_]*$/);
      },
    ),
  );
});

test('the records of a resource share a namespace', () => {
  expect(rowRecordNames('tandem', 'line-items')).toEqual({
    namespace: 'tandem.line_x2d_items',
    record: 'Row',
  });
  expect(changeRecordNames('tandem', 'invoices')).toEqual({ namespace: 'tandem.invoices', record: 'Change' });
});
