import { z } from 'zod';
import type { Column, RowShape, ValueType } from '../domain/row-shape.ts';
import { avroFieldNames, type RecordNames } from './avro-name.ts';

/** A field of a row. Every property beside Avro's own is ours, and other readers pass over it. */
export interface RowField {
  readonly name: string;
  /** Only key columns are never null: adding or dropping NOT NULL in the source must not break a reader. */
  readonly type: string | readonly ['null', string];
  readonly default?: null;
  /** The type's name in PostgreSQL. */
  readonly pg_type: string;
  /** The column's name, where Avro does not allow it as a field's. */
  readonly column?: string;
  /** The string holds JSON text. */
  readonly content?: typeof JSON_CONTENT;
}

/** The schema as plain JSON; not an interface, so that it is assignable to a general JSON object. */
export type RowSchema = {
  readonly type: 'record';
  readonly name: string;
  readonly namespace: string;
  readonly resource: string;
  readonly fields: readonly RowField[];
};

const JSON_CONTENT = 'application/json';

export function rowSchema(shape: RowShape, names: RecordNames): RowSchema {
  const fieldNames = avroFieldNames(shape.columns.map((column) => column.name));
  return {
    type: 'record',
    name: names.record,
    namespace: names.namespace,
    resource: shape.resource,
    fields: shape.columns.map((column, index) => rowField(column, fieldNames[index] ?? column.name)),
  };
}

function rowField({ name: column, type, isKey }: Column, name: string): RowField {
  const avroType = type.kind === 'json' ? 'string' : type.kind;
  return {
    name,
    ...(isKey ? { type: avroType } : { type: ['null', avroType] as const, default: null }),
    pg_type: type.pgName,
    ...(name === column ? {} : { column }),
    ...(type.kind === 'json' ? { content: JSON_CONTENT } : {}),
  };
}

const avroTypeOfField = z.enum(['int', 'long', 'float', 'double', 'boolean', 'bytes', 'string']);

const rowSchemaForm = z.object({
  type: z.literal('record'),
  resource: z.string(),
  fields: z.array(
    z.object({
      name: z.string(),
      type: z.union([avroTypeOfField, z.tuple([z.literal('null'), avroTypeOfField])]),
      pg_type: z.string(),
      column: z.string().optional(),
      content: z.literal(JSON_CONTENT).optional(),
    }),
  ),
});

/** A schema in the registry that is not one of ours. */
export class ForeignSchemaError extends Error {
  override readonly name = 'ForeignSchemaError';
}

/**
 * The shape that a row schema was made from: a reader needs it for messages written before the table changed.
 * Its types have no `toWire`, so that it serves to decode and print, not to encode.
 *
 * @throws ForeignSchemaError when the schema was not made by `rowSchema`
 */
export function readRowSchema(schema: unknown): RowShape {
  const parsed = rowSchemaForm.safeParse(schema);
  if (!parsed.success) {
    throw new ForeignSchemaError('the schema is not of a row of a resource', { cause: parsed.error });
  }
  const { resource, fields } = parsed.data;
  const columns = fields.map(({ name, type, pg_type: pgName, column, content }): Column => {
    const avroType = typeof type === 'string' ? type : type[1];
    const kind: ValueType['kind'] = content === undefined ? avroType : 'json';
    return { name: column ?? name, type: { kind, pgName }, isKey: typeof type === 'string' };
  });
  return { resource, columns };
}
