import { z } from 'zod';
import type { RowType } from '../domain/row-type.ts';
import {
  changeRecordNames,
  ForeignSchemaError,
  type RowSchema,
  readRowSchema,
  rowRecordNames,
  rowSchema,
} from './row-schema.ts';

/** The schema as plain JSON; not an interface, so that it is assignable to a general JSON object. */
export type ChangeSchema = {
  readonly type: 'record';
  readonly name: string;
  readonly namespace: string;
  readonly fields: readonly { readonly name: string; readonly type: unknown; readonly default?: unknown }[];
};

/** Positions in the fields below. */
const BEFORE_FIELD = 3;
const SOURCE_FIELD = 7;

/** The envelope of one resource's changes. The order of the fields is the order in which the codec writes them. */
export function changeSchema(rowType: RowType, namespace: string): ChangeSchema {
  const { record, namespace: recordNamespace } = changeRecordNames(namespace, rowType.resource);
  const row: RowSchema = rowSchema(rowType, rowRecordNames(namespace, rowType.resource));
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
            { name: 'bulk_job_id', type: ['null', 'string'], default: null },
          ],
        },
      },
      // New fields go to the end: a message that an earlier version wrote ends before them.
      { name: 'reset_reason', type: ['null', 'string'], default: null },
      {
        name: 'filled',
        type: [
          'null',
          {
            type: 'record',
            name: 'Filled',
            fields: [
              { name: 'columns', type: { type: 'array', items: 'string' } },
              { name: 'lsn', type: 'long' },
            ],
          },
        ],
        default: null,
      },
    ],
  };
}

const changeSchemaForm = z.object({
  type: z.literal('record'),
  name: z.literal('Change'),
  fields: z.array(z.object({ name: z.string(), type: z.unknown() })),
});

const sourceForm = z.object({ fields: z.array(z.object({ name: z.string() })) });

/** What a consumer has to know of the schema that a change was written with. */
export interface ChangeForm {
  /** Of the rows. It serves to decode and print, not to encode. */
  readonly rowType: RowType;
  /** Whether `source` ends with the bulk operation; changes written by an earlier version end before it. */
  readonly hasBulkJobId: boolean;
  /** Whether the message ends with the reason of a reset. */
  readonly hasResetReason: boolean;
  /** Whether it says after that which values were read from the row later. */
  readonly hasFilled: boolean;
}

/**
 * The form of changes written with that schema: a consumer needs it for changes from before the table, or the
 * envelope, changed.
 *
 * @throws ForeignSchemaError when the schema was not made by `changeSchema`
 */
export function readChangeSchema(schema: unknown): ChangeForm {
  const parsed = changeSchemaForm.safeParse(schema);
  const before = parsed.data?.fields[BEFORE_FIELD];
  const source = sourceForm.safeParse(parsed.data?.fields[SOURCE_FIELD]?.type);
  if (before?.name !== 'before' || !Array.isArray(before.type) || !source.success) {
    throw new ForeignSchemaError('the schema is not of a resource’s changes', {
      cause: parsed.error ?? source.error,
    });
  }
  const has = (field: string) => parsed.data?.fields.some(({ name }) => name === field) ?? false;
  return {
    rowType: readRowSchema(before.type[1]),
    hasBulkJobId: source.data.fields.some(({ name }) => name === 'bulk_job_id'),
    hasResetReason: has('reset_reason'),
    hasFilled: has('filled'),
  };
}
