import { describeShape } from '../../../shared/catalog/describe-table.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import type { RowShape } from '../../../shared/domain/row-shape.ts';
import type { AvroSchemaJson } from '../../../shared/kafka/registry.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Subjects } from '../../../shared/protocol/subjects.ts';
import { createChangeCodec } from '../../../shared/values/change-codec.ts';
import { loadTypes } from '../../../shared/values/load-types.ts';
import type { EncodableTable } from './tables.ts';

/** The parts of a table that a reset of its resource needs. */
export type ResetTable = Pick<EncodableTable, 'encode' | 'recordKey'>;

export interface ResetTableDeps {
  readonly source: Queryable;
  readonly register: (subject: string, schema: AvroSchemaJson) => Promise<number>;
  readonly subjects: Subjects;
  /** The catalog's name, which is in the namespace of its schemas. */
  readonly catalogName: string;
}

/**
 * Describes the table as it is in the source now, because the stream may not have described it.
 *
 * @param only the columns that may be named, if others might be hidden ones
 * @throws SetupError when the table does not exist
 */
export async function describeForReset(
  resource: Resource,
  { source, register, subjects, catalogName }: ResetTableDeps,
  only?: ReadonlySet<string>,
): Promise<ResetTable> {
  const described = await describeShape(source, resource, await loadTypes(source));
  const columns = described.columns.filter(({ name }) => only === undefined || only.has(name));
  return resetTableOf({ ...described, columns }, { register, subjects, catalogName });
}

/** For a resource whose table is gone, or has no column that may be named. */
export function describeWithoutColumns(
  resource: Resource,
  deps: Omit<ResetTableDeps, 'source'>,
): Promise<ResetTable> {
  return resetTableOf({ resource: resource.name, columns: [] }, deps);
}

async function resetTableOf(
  shape: RowShape,
  { register, subjects, catalogName }: Omit<ResetTableDeps, 'source'>,
): Promise<ResetTable> {
  const codec = createChangeCodec(shape, { namespace: `tandem.${catalogName}` });
  const subject = subjects.ofRecord(codec.schema);
  const schemaId = await register(subject, codec.schema);
  return { encode: (change) => codec.encode(change, schemaId), recordKey: () => '[]' };
}
