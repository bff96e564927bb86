import { describeShape } from '../../../shared/catalog/describe-table.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import type { AvroSchemaJson } from '../../../shared/kafka/registry.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { createChangeCodec } from '../../../shared/values/change-codec.ts';
import { loadTypes } from '../../../shared/values/load-types.ts';
import type { EncodableTable } from './tables.ts';

/** Enough of a table to tell that its feed begins anew: no row of it is needed. */
export type ResetTable = Pick<EncodableTable, 'encode' | 'recordKey'>;

export interface ResetTableDeps {
  readonly source: Queryable;
  readonly register: (subject: string, schema: AvroSchemaJson) => Promise<number>;
  readonly subjectPrefix: string;
  /** The catalog's name, which its schemas' namespace has. */
  readonly catalogName: string;
}

/**
 * From the table as it is in the source now, since no row of it need have come by.
 *
 * @throws SetupError when the table does not exist
 */
export async function describeForReset(
  resource: Resource,
  { source, register, subjectPrefix, catalogName }: ResetTableDeps,
): Promise<ResetTable> {
  const shape = await describeShape(source, resource, await loadTypes(source));
  const codec = createChangeCodec(shape, { namespace: `tandem.${catalogName}` });
  const subject = `${subjectPrefix}${codec.schema.namespace}.${codec.schema.name}`;
  const schemaId = await register(subject, codec.schema);
  return { encode: (change) => codec.encode(change, schemaId), recordKey: () => '[]' };
}
