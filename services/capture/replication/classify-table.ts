import type { TableFacts } from '../../../shared/catalog/table-facts.ts';
import {
  classifyFormChange,
  parseTableForm,
  type TableForm,
  toTableForm,
} from '../../../shared/catalog/table-form.ts';
import { leaves, type Resource } from '../../../shared/domain/catalog.ts';
import type { ResetReason } from '../../../shared/domain/change.ts';
import { isVisible, parseSnapshot } from '../../../shared/domain/snapshot.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { GONE } from './reset-message.ts';

/** How a resource's table has changed since it was last announced in the feed. */
export type TableChange =
  | { readonly kind: 'same' }
  /** Never seen before, or changed without an effect on rows. */
  | { readonly kind: 'adopt' }
  | {
      readonly kind: 'reset';
      readonly reason: ResetReason;
      /** Rows were removed, and none was added or changed. */
      readonly isLossOnly?: boolean;
    };

/**
 * @param told the identity that the feed knows; undefined for a table that was never seen
 * @param whole the same with all of its files, if this process made it
 * @param facts undefined for a table that does not exist
 */
export async function classifyTable(
  db: Queryable,
  resource: Resource,
  announced: string | undefined,
  whole: TableForm | undefined,
  facts: TableFacts | undefined,
): Promise<TableChange> {
  if (facts === undefined) {
    return announced === undefined || announced === GONE
      ? { kind: 'same' }
      : { kind: 'reset', reason: 'table_replaced' };
  }
  if (announced === undefined) return { kind: 'adopt' };
  if (announced === GONE) return { kind: 'reset', reason: 'table_replaced' };
  const before = whole ?? parseTableForm(announced);
  if (before === undefined) return classifyEarlierIdentity(announced, facts);
  const change = await classifyFormChange(db, before, resource, facts);
  switch (change.kind) {
    case 'none':
      return { kind: 'same' };
    case 'harmless':
      return { kind: 'adopt' };
    case 'reset':
      return change;
  }
}

/** An earlier version stored the table's OID and that of its entry in the publication, 0 for none. */
function classifyEarlierIdentity(announced: string, { oid, publication }: TableFacts): TableChange {
  const [earlierOid, earlierPlace] = announced.split('/');
  const isSame = Number(earlierOid) === oid && (earlierPlace !== '0') === (publication !== null);
  return isSame ? { kind: 'adopt' } : { kind: 'reset', reason: 'table_replaced' };
}

/** A table's identity in the feed's state. For a table with many files it holds only their hash. */
export function identityOf(resource: Resource, facts: TableFacts | undefined): string {
  return facts === undefined ? GONE : JSON.stringify(toTableForm(resource, facts));
}

/** A partition with rows in the stream. */
export interface StreamedLeaf {
  readonly resource: string;
  readonly oid: number;
  /** A transaction that wrote to it, as a 64-bit ID. */
  readonly xid: bigint;
}

/**
 * What became of a partition that is in no announced form. `lost`: the feed has its rows, and they vanished without an
 * event. `unseen`: the stream is ahead of what queries see.
 */
export function classifyLeaf(
  { oid, xid }: StreamedLeaf,
  facts: TableFacts | undefined,
): 'kept' | 'lost' | 'unseen' {
  // A missing table has a reset of its own.
  if (facts === undefined) return 'kept';
  if (!isVisible(xid, parseSnapshot(facts.snapshot))) return 'unseen';
  const file = facts.files.find((each) => each.oid === oid);
  if (file === undefined) return 'lost';
  // The file of a new table has the table's OID as its number. TRUNCATE assigns another number; it is in the WAL, but
  // not as a truncation of the root.
  const isBornInside = file.links.every(({ isCreation }) => isCreation);
  return isBornInside && file.file !== oid ? 'lost' : 'kept';
}

/** The columns of a table with rows in the stream, as the stream described it before them. */
export interface StreamedColumns {
  readonly resource: string;
  readonly oid: number;
  readonly names: readonly string[];
  /** The transaction of the rows, as a 64-bit ID. */
  readonly xid: bigint;
}

/**
 * What rows with these columns mean, if the table's form has not changed. A transaction that renames a column, changes
 * rows, and renames it back leaves the form as it was, and the rows in between have other members. `unseen`: the stream
 * is ahead of what queries see.
 */
export function classifyColumns(
  { oid, names, xid }: StreamedColumns,
  resource: Resource,
  facts: TableFacts | undefined,
): 'kept' | 'unseen' | 'undone' {
  // A table that is missing or another one has a reset of its own, and fields have the names that the catalog gives them.
  if (facts === undefined || facts.oid !== oid || resource.fields !== undefined) return 'kept';
  if (!isVisible(xid, parseSnapshot(facts.snapshot))) return 'unseen';
  const present = facts.columns.filter(({ name, isGenerated }) => !isGenerated && leaves(resource, name));
  // Columns that were added since are absent, which is null.
  const areKept = names
    .filter((name) => leaves(resource, name))
    .every((name, place) => present[place]?.name === name);
  return areKept ? 'kept' : 'undone';
}
