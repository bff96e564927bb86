import { describeTables, findTable, type TableDescription } from '../../shared/catalog/describe-table.ts';
import { findCheaperIdentity, tellsOldRows } from '../../shared/catalog/replica-identity.ts';
import type { Catalog, Resource } from '../../shared/domain/catalog.ts';
import type { Queryable } from '../../shared/postgres/queryable.ts';
import { retryWhileLocked } from '../../shared/postgres/short-lock-waits.ts';

/** What was measured on an update of one small column of a row with 20 kB of text. */
const FULL_BYTES = '20,757';
const INDEX_BYTES = '497';

/**
 * What the tables' identities cost and allow, line by line, and how that is changed. `planned` are statements that are about to run.
 * What the catalog asks for by name is not questioned.
 */
export async function adviseIdentities(
  db: Queryable,
  catalog: Catalog,
  planned: readonly string[],
): Promise<string[]> {
  const found = await describeTables(
    retryWhileLocked(db),
    catalog.resources.map(({ table }) => table),
  );
  const tables = catalog.resources
    .filter(({ asOf }) => asOf === undefined)
    .flatMap((resource): [Resource, TableDescription][] => {
      const table = findTable(found, resource.table);
      return table === undefined ? [] : [[resource, afterwards(table, planned)]];
    });
  const cheaper = tables.flatMap(([resource, table]) => findCheaperIdentity(resource, table) ?? []);
  const without = tables.filter(([resource, table]) => !tellsOldRows(resource, table));
  return [
    ...(cheaper.length === 0
      ? []
      : [
          `REPLICA IDENTITY FULL writes the whole old row at each UPDATE and DELETE: of a row with 20 kB of text ${FULL_BYTES} bytes of`,
          `WAL in place of ${INDEX_BYTES}. An index over key and account is enough for exports, the feed and changes_since. Only FULL`,
          'has as_of, `previous` in events, and `created` for a record that is restored after a soft delete (else `updated`). To do',
          'without, set as_of: false in the catalog and change to an index (or: source prepare --identity index):',
          ...cheaper.map((statement) => `  ${statement};`),
        ]),
    ...(without.length === 0
      ? []
      : [
          `as_of is refused for ${without.map(([{ name }]) => name).join(', ')}: the WAL does not say what their rows were before an`,
          'update. To have it, at the cost of the whole old row in the WAL, set as_of: true in the catalog and run source prepare.',
        ]),
  ];
}

function afterwards(table: TableDescription, planned: readonly string[]): TableDescription {
  const isPlanned = (name: string, kind: string) =>
    planned.some((each) => each.includes(`.${JSON.stringify(name)} REPLICA IDENTITY ${kind}`));
  const relations = table.relations.map((relation) => {
    if (isPlanned(relation.name, 'FULL')) return { ...relation, replicaIdentity: 'f' };
    return isPlanned(relation.name, 'USING') ? { ...relation, replicaIdentity: 'i' } : relation;
  });
  return { ...table, relations };
}
