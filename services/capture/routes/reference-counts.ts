import type { ReferenceCount, Route, RouteCommit } from '../../../shared/control/routes.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import { type RecordRef, recordId } from '../../../shared/domain/record-ref.ts';

/** The result of one transaction, once the references to its records are known. */
export interface TransactionRoutes {
  readonly commitLsn: Lsn;
  readonly xid: bigint;
  /** By `recordId`, as of the transaction's end. */
  readonly routes: Map<string, Omit<Route, 'referredBy'>>;
  readonly references: ReferenceChanges;
  /** It wrote a row of a child, which may refer to the same record as before. */
  readonly hasChildRows: boolean;
}

/**
 * The facts about a transaction that show in which order snapshots see it. A plain update of a child counts, because it
 * publishes the child's row to an account.
 */
export function commitOf({ commitLsn, xid, routes, hasChildRows }: TransactionRoutes): RouteCommit {
  return { commitLsn, xid, hasRoutes: routes.size > 0, hasReferences: hasChildRows };
}

/** How a transaction changes the number of references to records. */
export interface ReferenceChanges {
  readonly size: number;
  /** A record of `child` starts (1) or stops (-1) referring to this record. */
  add(child: string, record: RecordRef, by: 1 | -1): void;
  all(): readonly ReferenceCount[];
  /** The lowest change since the transaction started; zero or less. */
  least(child: string, record: RecordRef): number;
  clear(): void;
}

export function createReferenceChanges(): ReferenceChanges {
  const changes = new Map<string, { readonly count: ReferenceCount; sum: number; least: number }>();
  return {
    get size() {
      return changes.size;
    },
    add(child, record, by) {
      const id = idOf(child, record);
      const change = changes.get(id) ?? { count: { ...record, child, count: 0 }, sum: 0, least: 0 };
      change.sum += by;
      if (change.sum < change.least) change.least = change.sum;
      changes.set(id, change);
    },
    all: () => [...changes.values()].map(({ count, sum }) => ({ ...count, count: sum })),
    least: (child, record) => changes.get(idOf(child, record))?.least ?? 0,
    clear: () => changes.clear(),
  };
}

/** Tracks the number of references to some records, transaction by transaction. */
export interface ReferenceCounts {
  /**
   * The transaction's routes. A resource counts as referring to a record if its number of references was above zero at
   * every moment of the transaction: one of them may have stayed unchanged, and have another account now without a
   * change of its own.
   */
  routesOf(transaction: TransactionRoutes): Route[];
}

/** @param stored the counts, from before these transactions, of all records that have routes in them */
export function createReferenceCounts(stored: readonly ReferenceCount[]): ReferenceCounts {
  const counts = new Map<string, Map<string, number>>();
  for (const { child, count, ...record } of stored) {
    const of = counts.get(recordId(record)) ?? new Map<string, number>();
    counts.set(recordId(record), of.set(child, count));
  }
  return {
    routesOf({ routes, references }) {
      const made = [...routes.values()].map((route) => {
        const before = [...(counts.get(recordId(route)) ?? [])];
        const referredBy = before.flatMap(([child, count]) =>
          count + references.least(child, route) > 0 ? [child] : [],
        );
        return { ...route, referredBy };
      });
      for (const { child, count, ...record } of references.all()) {
        const of = counts.get(recordId(record)) ?? new Map<string, number>();
        counts.set(recordId(record), of.set(child, (of.get(child) ?? 0) + count));
      }
      return made;
    },
  };
}

const idOf = (child: string, record: RecordRef) => `${child} ${recordId(record)}`;
