import { z } from 'zod';
import type { RowShape } from '../domain/row-shape.ts';
import { changeRecordNames, rowRecordNames } from './avro-name.ts';
import { ForeignSchemaError, type RowSchema, readRowSchema, rowSchema } from './row-schema.ts';

/** The schema as plain JSON; not an interface, so that it is assignable to a general JSON object. */
export type ChangeSchema = {
  readonly type: 'record';
  readonly name: string;
  readonly namespace: string;
  readonly fields: readonly { readonly name: string; readonly type: unknown; readonly default?: unknown }[];
};

/** Position of `before` in the fields below. */
const BEFORE_FIELD = 3;

/** The envelope of one resource's changes. The order of the fields is the order in which the codec writes them. */
export function changeSchema(shape: RowShape, namespace: string): ChangeSchema {
  const { record, namespace: recordNamespace } = changeRecordNames(namespace, shape.resource);
  const row: RowSchema = rowSchema(shape, rowRecordNames(namespace, shape.resource));
  return {
    type: 'record',
    name: record,
    namespace: recordNamespace,
    fields: [
      { name: 'op', type: 'string' },
      { name: 'account', type: 'string' },
      { name: 'resource', type: 'string' },
      { name: 'before', type: ['null', row], default: null },
      { name: 'after', type: ['null', `${row.namespace}.${row.name}`], default: null },
      { name: 'unchanged', type: { type: 'array', items: 'string' }, default: [] },
      { name: 'missing', type: { type: 'array', items: 'string' }, default: [] },
      {
        name: 'source',
        type: {
          type: 'record',
          name: 'Source',
          fields: [
            { name: 'lsn', type: 'long' },
            { name: 'commit_lsn', type: 'long' },
            { name: 'xid', type: 'long' },
            { name: 'index', type: 'int' },
            { name: 'committed_at', type: { type: 'long', logicalType: 'timestamp-micros' } },
          ],
        },
      },
    ],
  };
}

const changeSchemaForm = z.object({
  type: z.literal('record'),
  name: z.literal('Change'),
  fields: z.array(z.object({ name: z.string(), type: z.unknown() })),
});

/**
 * The shape of the rows in changes written with that schema: a consumer needs it for changes from before the table
 * changed. It serves to decode and print, not to encode.
 *
 * @throws ForeignSchemaError when the schema was not made by `changeSchema`
 */
export function readChangeSchema(schema: unknown): RowShape {
  const parsed = changeSchemaForm.safeParse(schema);
  const before = parsed.data?.fields[BEFORE_FIELD];
  if (before?.name !== 'before' || !Array.isArray(before.type)) {
    throw new ForeignSchemaError('the schema is not of a resource’s changes', { cause: parsed.error });
  }
  return readRowSchema(before.type[1]);
}
