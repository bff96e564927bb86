import type { ManifestColumn } from './types.ts';

/** A record of the replica. A deleted one stays for a while, so that a late event cannot bring it back. */
export interface StoredRecord {
  /** The record as JSON, as an export has it; null once it is deleted. */
  readonly data: string | null;
  /** The position of the event that it comes from; null for one that comes from the export. */
  readonly position: string | null;
  /** The time of that event. */
  readonly at: string | null;
}

/** A record that is not deleted. */
export interface ScannedRecord {
  readonly key: string;
  readonly data: string;
}

/**
 * One transaction of a store. Records belong to a _load_, a number: a new export is loaded beside the old records,
 * and takes their place in the transaction that writes the state which names it.
 */
export interface StoreTransaction {
  /** The state that was written last, a JSON text of the replica; undefined at first. */
  readState(): Promise<string | undefined> | string | undefined;
  writeState(state: string): Promise<void> | void;
  /** @param key the key columns as a JSON object */
  read(
    load: number,
    resource: string,
    key: string,
  ): Promise<StoredRecord | undefined> | StoredRecord | undefined;
  /**
   * The records that are not deleted, in an order of their keys that does not change.
   *
   * @param after the key of the last record that was returned; undefined at first
   */
  scan(
    load: number,
    resource: string,
    after: string | undefined,
    limit: number,
  ): Promise<readonly ScannedRecord[]> | readonly ScannedRecord[];
  /** Inserts a record, or replaces it. */
  write(load: number, resource: string, key: string, record: StoredRecord): Promise<void> | void;
  /** The load is complete: readers see it from the end of this transaction on, and no other. */
  show(load: number, columns: Readonly<Record<string, readonly ManifestColumn[]>>): Promise<void> | void;
  /** Removes up to `limit` records of other loads. @returns whether there may be more */
  dropOthers(loads: readonly number[], limit: number): Promise<boolean> | boolean;
  /** Removes the deleted records of events before a time. */
  dropDeleted(load: number, before: string): Promise<void> | void;
}

/**
 * Where a replica is kept. All that happens in `work` is durable when the promise is fulfilled, or nothing of it is,
 * also after a crash. Calls may overlap: they take effect one after the other.
 */
export interface ReplicaStore {
  transaction<T>(work: (transaction: StoreTransaction) => Promise<T>): Promise<T>;
}
