import type { RowVersion } from './captured-table.ts';

/** The account of a row version, by the record that it refers to. */
export type FindAccount = (version: RowVersion) => string;

/**
 * Records that the open transaction has written below a parent that comes, goes or moves in it. A later old version of such a record is
 * the transaction's own, so it was never the former account's; any other old version was there before the transaction.
 */
export interface MadeRecords {
  /**
   * The account of an old row version of the record; undefined where nobody can say whose it was.
   *
   * @param record its resource and key
   */
  accountOf(record: string, find: FindAccount): string | undefined;
  /** The transaction has written the record. */
  note(record: string, find: FindAccount): void;
  /** Whether the resource has to be loaded again by all, and was not said to be: an old version of it was nobody's that can be known. */
  isResetDue(resource: string): boolean;
}

/** A transaction may move a parent of very many records. */
const MAX_RECORDS = 100_000;

export function createMadeRecords(maxRecords: number = MAX_RECORDS): MadeRecords {
  const made = new Set<string>();
  const reset = new Set<string>();
  let isFull = false;
  return {
    accountOf(record, find) {
      const [before, after] = [find('before'), find('after')];
      if (before === after || made.has(record)) return after;
      return isFull ? undefined : before;
    },
    note(record, find) {
      if (made.has(record) || find('before') === find('after')) return;
      if (made.size < maxRecords) made.add(record);
      else isFull = true;
    },
    isResetDue(resource) {
      if (reset.has(resource)) return false;
      reset.add(resource);
      return true;
    },
  };
}
