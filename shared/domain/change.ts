import type { Lsn } from './lsn.ts';
import type { RowTexts } from './row-type.ts';

export type ChangeOp = 'insert' | 'update' | 'delete' | 'truncate';

/** Where a change stood in the WAL. */
export interface ChangeSource {
  /** Of the change's own WAL record. Several rows can share one: `(commitLsn, index)` is what identifies a change. */
  readonly lsn: Lsn;
  /** Of its transaction's commit record. */
  readonly commitLsn: Lsn;
  /** Of its top-level transaction, 64 bits wide. */
  readonly xid: bigint;
  /** Counts the changes of one transaction from 0. */
  readonly index: number;
  /** Microseconds since 1970-01-01 UTC. */
  readonly committedAtMicros: bigint;
  /** The bulk operation that made it; null for a change that no job made. */
  readonly bulkJobId: string | null;
}

/**
 * Columns whose values are those of a later version of the row. A state of the source has the same ones if it has all that was
 * committed before `lsn`. Any other may have older ones.
 */
export interface FilledColumns {
  readonly columns: readonly string[];
  /** Everything that was visible when the values were read was written before it, and is on disk. */
  readonly lsn: Lsn;
}

/** One row's insert, update or delete; or `truncate`, after which the resource has to be loaded again. */
export interface Change {
  readonly op: ChangeOp;
  /** Value of the account column in PostgreSQL's text form; empty for a truncation, which is no one account's. */
  readonly account: string;
  readonly resource: string;
  /** The row before, as far as the table's replica identity carries it; null for an insert. */
  readonly before: RowTexts | null;
  /** The row after; null for a delete. */
  readonly after: RowTexts | null;
  /**
   * Columns that are null in `after` though they are not known to be: their stored-apart (TOAST) value did not
   * change, and PostgreSQL did not send it again.
   */
  readonly unchanged: readonly string[];
  /** Columns that are null in `before` because the replica identity does not carry them. */
  readonly missing: readonly string[];
  /** Columns of `after` whose value was not sent either, and was read from the row later. */
  readonly filled?: FilledColumns;
  /** With `truncate` only, and absent from what an earlier version wrote: a `ResetReason`, or one of a newer version. */
  readonly resetReason?: string;
  readonly source: ChangeSource;
}

/** A change whose rows are PostgreSQL texts: what is encoded. */
export type EncodableChange = Change;

/** A change whose rows are wire texts: what decoding gives. */
export type DecodedChange = Change;

/**
 * Why a resource's feed begins again, as customers read it in `data.reason` of `feed.reset`. A reader takes reasons that it does
 * not know as they are: a newer capture may give one.
 */
export type ResetReason =
  /** `TRUNCATE`: all rows are gone at once. */
  | 'table_truncated'
  /** Another table has the name, or the table was out of the publication for a while. */
  | 'table_replaced'
  /** `ALTER TABLE … ALTER COLUMN … TYPE` and other rewrites that may give every row other values. */
  | 'table_rewritten'
  /** A column was added, dropped, renamed, or became visible: rows have other members than before. */
  | 'columns_changed'
  /** Rows older than the column have a value in it that no event reports. */
  | 'column_added_with_default'
  /** Labels of an enum, attributes of a composite type, or what lies under a domain. */
  | 'type_changed'
  /** A partition or an inheritance child with rows was attached, detached, dropped or emptied. */
  | 'partition_changed'
  /** Row filter, column list or operations of the publication: some changes did not come by. */
  | 'publication_changed'
  /** A row went away whose old version does not say whose it was. */
  | 'record_unknown'
  /** A row holds a value that has no form in the feed. The resource's changes are passed over until `resource_resumed`. */
  | 'row_unencodable'
  /** The table and the catalog no longer go together. The resource's changes are passed over until `resource_resumed`. */
  | 'table_unfit'
  /** The reason why the resource was left out is fixed: from here on its feed is complete again. */
  | 'resource_resumed'
  /** A parent went to another account, and the records that refer to it with it, without a change of their own. */
  | 'parent_moved'
  /** Behind a gap: nobody knows which changes are missing. */
  | 'changes_lost'
  /** The change reached the event log later than events are kept. */
  | 'events_expired';
