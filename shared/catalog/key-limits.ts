import type { Catalog, Resource } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { retryWhileLocked } from '../postgres/short-lock-waits.ts';
import {
  type ColumnDescription,
  describeTables,
  findTable,
  type TableDescription,
} from './describe-table.ts';

/**
 * Key columns with structured values: json, jsonb, arrays, composite types, hstore. Events show them as JSON, from which the
 * PostgreSQL value cannot be restored, so no row can be found by its event.
 */
export function structuredKeyColumns(
  resource: Resource,
  table: TableDescription,
): readonly ColumnDescription[] {
  return keyColumns(resource, table).filter(({ equality }) => equality === 'structure');
}

/** Lists what the keys of a catalog's tables rule out. Everything else works. Not to be called in a transaction. */
export async function readKeyLimits(db: Queryable, { resources }: Catalog): Promise<string[]> {
  const tables = await describeTables(
    retryWhileLocked(db),
    resources.map(({ table }) => table),
  );
  return resources.flatMap((resource) => {
    const table = findTable(tables, resource.table);
    return table === undefined ? [] : describeKeyLimits(resource, table);
  });
}

/** What a resource's key rules out, one line each. Empty for nearly every table. */
export function describeKeyLimits(resource: Resource, table: TableDescription): string[] {
  const structured = structuredKeyColumns(resource, table).map(
    ({ name, typeName }) => `${name} is ${typeName}`,
  );
  const collated = keyColumns(resource, table)
    .filter(({ equality }) => equality === 'collation')
    .map(({ name }) => name);
  return [
    ...(structured.length === 0
      ? []
      : [
          `${resource.name}: changes_since and as_of are refused, since of its key ${structured.join(' and ')}, and no row can be ` +
            'found by what an event says of it. A unique key of plain columns allows both.',
        ]),
    ...(collated.length === 0
      ? []
      : [
          `${resource.name}: bulk jobs take a filter and no IDs, since its key column ${collated.join(', ')} has a ` +
            'nondeterministic collation, under which two IDs may name one row.',
        ]),
  ];
}

function keyColumns({ key }: Resource, { columns }: TableDescription): readonly ColumnDescription[] {
  return columns.filter(({ name }) => key.includes(name));
}
