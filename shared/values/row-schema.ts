import { z } from 'zod';
import { PATH_TYPES, type PublicField } from '../domain/public-field.ts';
import type { Column, RowType, ValueType } from '../domain/row-type.ts';

/** A field of a row. Other readers ignore the properties that are not Avro's. */
export interface RowField {
  readonly name: string;
  /** Only key columns are never null: adding or dropping NOT NULL in the source must not break a reader. */
  readonly type: string | readonly ['null', string];
  readonly default?: null;
  /** The type's name in PostgreSQL. */
  readonly pg_type: string;
  /** The column's name if Avro does not allow it as a field name. */
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
  /** What customers see of the columns, as the catalog said when the rows were written. */
  readonly public_fields?: readonly PublicField[];
};

const JSON_CONTENT = 'application/json';

export function rowSchema(rowType: RowType, names: RecordNames): RowSchema {
  const fieldNames = avroFieldNames(rowType.columns.map((column) => column.name));
  return {
    type: 'record',
    name: names.record,
    namespace: names.namespace,
    resource: rowType.resource,
    fields: rowType.columns.map((column, index) => rowField(column, fieldNames[index] ?? column.name)),
    ...(rowType.fields === undefined ? {} : { public_fields: rowType.fields }),
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

const publicValueForm = z.union([z.string(), z.number(), z.boolean()]);

const publicFieldForm = z.union([
  z.strictObject({ name: z.string(), column: z.string() }),
  z
    .strictObject({
      name: z.string(),
      column: z.string(),
      map: z.record(z.string(), publicValueForm),
      otherwise: publicValueForm.optional(),
    })
    .transform(({ otherwise, ...rest }) => (otherwise === undefined ? rest : { ...rest, otherwise })),
  z.strictObject({
    name: z.string(),
    column: z.string(),
    path: z.array(z.string()),
    type: z.enum(PATH_TYPES),
  }),
  z.strictObject({ name: z.string(), value: publicValueForm }),
]);

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
  public_fields: z.array(publicFieldForm).optional(),
});

/** A schema in the registry that Tandem did not write. */
export class ForeignSchemaError extends Error {
  override readonly name = 'ForeignSchemaError';
}

/**
 * The row type that a row schema was made from: a reader needs it for messages written before the table changed.
 * Its types have no `toWire`, so it can decode and print, but not encode.
 *
 * @throws ForeignSchemaError when the schema was not made by `rowSchema`
 */
export function readRowSchema(schema: unknown): RowType {
  const parsed = rowSchemaForm.safeParse(schema);
  if (!parsed.success) {
    throw new ForeignSchemaError('the schema is not of a row of a resource', { cause: parsed.error });
  }
  const { resource, fields, public_fields: publicFields } = parsed.data;
  const columns = fields.map(({ name, type, pg_type: pgName, column, content }): Column => {
    const avroType = typeof type === 'string' ? type : type[1];
    const kind: ValueType['kind'] = content === undefined ? avroType : 'json';
    return { name: column ?? name, type: { kind, pgName }, isKey: typeof type === 'string' };
  });
  return { resource, columns, ...(publicFields === undefined ? {} : { fields: publicFields }) };
}

const AVRO_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** The full name of an Avro record, in its two parts. Both must be valid Avro names. */
export interface RecordNames {
  readonly namespace: string;
  readonly record: string;
}

/**
 * A name that Avro allows: the name itself, or with every other character as its code point, `total.€` as
 * `total_x2e__x20ac_`. It depends on the name alone, so adding or dropping other columns does not change it.
 */
export function avroName(name: string): string {
  if (AVRO_NAME.test(name)) return name;
  const allowed = name.replace(
    /[^A-Za-z0-9_]/gu,
    (character) => `_x${character.codePointAt(0)?.toString(16)}_`,
  );
  return AVRO_NAME.test(allowed) ? allowed : `_${allowed}`;
}

/** Field names of columns, in their order. A number makes equal names unique. */
export function avroFieldNames(columns: readonly string[]): string[] {
  const taken = new Set(columns.filter((column) => AVRO_NAME.test(column)));
  return columns.map((column) => {
    if (AVRO_NAME.test(column)) return column;
    const wanted = avroName(column);
    let name = wanted;
    for (let suffix = 2; taken.has(name); suffix += 1) name = `${wanted}_${suffix}`;
    taken.add(name);
    return name;
  });
}

/** A resource's records live in one namespace; `Row` is in its rows topic and inside `Change`. */
export function rowRecordNames(namespace: string, resource: string): RecordNames {
  return { namespace: `${namespace}.${avroName(resource)}`, record: 'Row' };
}

export function changeRecordNames(namespace: string, resource: string): RecordNames {
  return { namespace: `${namespace}.${avroName(resource)}`, record: 'Change' };
}
