import type { RowVersion } from './captured-table.ts';

/** The account of a row version, by its parent record. */
export type FindAccount = (version: RowVersion) => string;

/**
 * Records that the open transaction has written below a parent which it creates, deletes or moves. A later old version
 * of such a record was written by the transaction itself, so it never belonged to the parent's former account. Any
 * other old version existed before the transaction.
 */
export interface MadeRecords {
  /**
   * The account of an old row version; undefined when it can't be known.
   *
   * @param record its resource and key
   */
  accountOf(record: string, find: FindAccount): string | undefined;
  /** Notes that the transaction has written the record. */
  note(record: string, find: FindAccount): void;
  /**
   * Whether all accounts have to load the resource again, and were not told so: the account of an old version can't be
   * known.
   */
  isResetDue(resource: string): boolean;
}

/** Limit of records, because a transaction may move a parent of very many. */
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
