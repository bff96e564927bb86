import type { FilterInput } from './bulk-filter.ts';

export type BulkStatus = 'pending' | 'running' | 'paused' | 'cancelled' | 'completed' | 'failed';

/** A bulk operation as it was asked for; kept in `bulk_jobs.request`. */
export interface BulkRequest {
  readonly resource: string;
  readonly operation: string;
  /** Numbers that a double would change are an `ExactNumber`. */
  readonly params: Readonly<Record<string, unknown>>;
  /** Null: the items were named by `ids` or a file. */
  readonly filter: FilterInput | null;
  readonly semantics: 'snapshot' | 'live';
  readonly maxFailures: number | null;
  /** Public names in it that a map of the catalog gave the values of; undefined in a request of an earlier version. */
  readonly mapped?: readonly string[] | undefined;
}

/** An item as it stands in a job's list. */
export type ListedItem =
  /** The texts of the key columns, in key order. */
  | { readonly key: readonly string[]; readonly line?: number }
  /** Decided before any row is looked at: an ID that no row can have, or one that came before. */
  | {
      readonly id: string;
      readonly code: 'invalid_id' | 'duplicate';
      readonly message?: string;
      readonly line?: number;
    };

export type ItemStatus = 'succeeded' | 'failed' | 'skipped';

/** What became of an item, as the ledger holds it. */
export interface ItemResult {
  readonly seq: number;
  readonly itemId: string;
  readonly status: ItemStatus;
  readonly code: string | null;
  readonly message: string | null;
  readonly line: number | null;
  /** RFC 3339, UTC. */
  readonly at: string;
}

/** The code of an item that a synchronous request did not come to. */
export const NOT_ATTEMPTED = 'not_attempted';

/** Failures for which no record was looked at. */
const FREE_CODES: ReadonlySet<string> = new Set(['invalid_id', NOT_ATTEMPTED]);

/** Whether an item costs quota: it was done, or at least tried. */
export function costsQuota({ status, code }: Pick<ItemResult, 'status' | 'code'>): boolean {
  return status === 'succeeded' || (status === 'failed' && !FREE_CODES.has(code ?? ''));
}

/** How an item is shown and named by clients: the key's text, or a JSON array of texts where it has several columns. */
export function showItemId(key: readonly string[]): string {
  return key.length === 1 ? (key[0] ?? '') : JSON.stringify(key);
}
