import type { TableFacts } from '../../../shared/catalog/table-facts.ts';
import { isVisible, parseSnapshot } from '../../../shared/domain/snapshot.ts';

/** A partition with rows that the stream spoke of. */
export interface StreamedLeaf {
  readonly resource: string;
  readonly oid: number;
  /** Of a transaction that wrote to it, 64 bits wide. */
  readonly xid: bigint;
}

/**
 * What has become of a partition that no form has which the feed was told. `lost`: rows of it were told, and went away without
 * an event. `unseen`: the stream was ahead of what queries see.
 */
export function classifyLeaf(
  { oid, xid }: StreamedLeaf,
  facts: TableFacts | undefined,
): 'kept' | 'lost' | 'unseen' {
  // That the table is gone is told by itself.
  if (facts === undefined) return 'kept';
  if (!isVisible(xid, parseSnapshot(facts.snapshot))) return 'unseen';
  const file = facts.files.find((each) => each.oid === oid);
  if (file === undefined) return 'lost';
  // A new table's file has its OID for a number. TRUNCATE gives it another one; it is in the WAL, but not as one of the root.
  const isBornInside = file.links.every(({ isCreation }) => isCreation);
  return isBornInside && file.file !== oid ? 'lost' : 'kept';
}
