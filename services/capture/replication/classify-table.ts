import type { TableFacts } from '../../../shared/catalog/table-facts.ts';
import {
  classifyFormChange,
  parseTableForm,
  type TableForm,
  toTableForm,
} from '../../../shared/catalog/table-form.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import type { ResetReason } from '../../../shared/domain/change.ts';
import { isVisible, parseSnapshot } from '../../../shared/domain/snapshot.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { GONE } from './reset-message.ts';

/** How a resource's table has changed since it was last announced in the feed. */
export type TableChange =
  | { readonly kind: 'same' }
  /** Never seen before, or changed in nothing that a row shows. */
  | { readonly kind: 'adopt' }
  | {
      readonly kind: 'reset';
      readonly reason: ResetReason;
      /** Rows have gone, and none has come or changed. */
      readonly isLossOnly?: boolean;
    };

/**
 * @param told the identity that the feed knows; undefined for a table that was never seen
 * @param whole the same with all of its files, where this process made it
 * @param facts undefined for a table that is not there
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

/** An earlier version noted the table's OID and that of its place in the publication, 0 for none. */
function classifyEarlierIdentity(announced: string, { oid, publication }: TableFacts): TableChange {
  const [earlierOid, earlierPlace] = announced.split('/');
  const isSame = Number(earlierOid) === oid && (earlierPlace !== '0') === (publication !== null);
  return isSame ? { kind: 'adopt' } : { kind: 'reset', reason: 'table_replaced' };
}

/** Identity of a table in the feed's state; for a table with many files it has only their hash. */
export function identityOf(resource: Resource, facts: TableFacts | undefined): string {
  return facts === undefined ? GONE : JSON.stringify(toTableForm(resource, facts));
}

/** A partition with rows that the stream spoke of. */
export interface StreamedLeaf {
  readonly resource: string;
  readonly oid: number;
  /** Of a transaction that wrote to it, 64 bits wide. */
  readonly xid: bigint;
}

/**
 * The fate of a partition that is in no announced form. `lost`: the feed has its rows, and they vanished without an event.
 * `unseen`: the stream is ahead of what queries see.
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
  // A new table's file has its OID for a number. TRUNCATE gives it another one; it is in the WAL, but not as one of the
  // root.
  const isBornInside = file.links.every(({ isCreation }) => isCreation);
  return isBornInside && file.file !== oid ? 'lost' : 'kept';
}
