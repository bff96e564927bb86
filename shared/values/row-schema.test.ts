import { expect, test } from 'vitest';
import type { RowShape } from '../domain/row-shape.ts';
import { ForeignSchemaError, readRowSchema, rowSchema } from './row-schema.ts';

const shape: RowShape = {
  resource: 'invoices',
  columns: [
    { name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true },
    { name: 'total.€', type: { kind: 'string', pgName: 'numeric(10,4)' }, isKey: false },
    { name: 'tags', type: { kind: 'json', pgName: 'text[]' }, isKey: false },
  ],
};
const names = { namespace: 'tandem.invoices', record: 'Row' };

test('only keys are never null, and every other field has a default', () => {
  expect(rowSchema(shape, names)).toEqual({
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

test('the shape can be read back from the schema', () => {
  expect(readRowSchema(JSON.parse(JSON.stringify(rowSchema(shape, names))))).toEqual(shape);
});

test('a schema of another making is refused', () => {
  expect(() => readRowSchema({ type: 'record', name: 'Row', fields: [] })).toThrow(ForeignSchemaError);
});
