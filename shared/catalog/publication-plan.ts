import type { TableName } from '../domain/catalog.ts';
import { quoteIdent, quoteTable } from '../postgres/quote.ts';
import type { PublicationDescription } from './describe-source.ts';

const OPERATIONS = ['insert', 'update', 'delete', 'truncate'] as const;

// Through the root, a partitioned table's changes carry the root's name and columns, and a row that moves
// between partitions arrives as a delete and an insert in one transaction.
export const PUBLICATION_OPTIONS = `(publish = '${OPERATIONS.join(', ')}', publish_via_partition_root = true)`;

/** Whether the publication streams every change of the table, whole and under the table's own name. */
export function publishes(publication: PublicationDescription, table: TableName): boolean {
  return publication.tables.some((one) => isSame(one, table) && !one.isPartial);
}

export function hasRightOptions({
  operations,
  isViaRoot,
  publishesGenerated,
}: PublicationDescription): boolean {
  return isViaRoot && !publishesGenerated && OPERATIONS.every((operation) => operations.includes(operation));
}

/** The statements that make the publication hold exactly these tables. Empty if it does. */
export function planPublication(
  name: string,
  current: PublicationDescription | undefined,
  tables: readonly TableName[],
): string[] {
  const list = tables.map(quoteTable).join(', ');
  if (current === undefined)
    return [`CREATE PUBLICATION ${quoteIdent(name)} FOR TABLE ${list} WITH ${PUBLICATION_OPTIONS}`];
  const isExact =
    current.schemas.length === 0 &&
    current.tables.length === tables.length &&
    tables.every((table) => publishes(current, table));
  return [
    ...(isExact ? [] : [`ALTER PUBLICATION ${quoteIdent(name)} SET TABLE ${list}`]),
    ...(hasRightOptions(current) ? [] : [`ALTER PUBLICATION ${quoteIdent(name)} SET ${PUBLICATION_OPTIONS}`]),
    ...(current.publishesGenerated
      ? [`ALTER PUBLICATION ${quoteIdent(name)} SET (publish_generated_columns = none)`]
      : []),
  ];
}

function isSame(a: TableName, b: TableName): boolean {
  return a.schema === b.schema && a.name === b.name;
}
