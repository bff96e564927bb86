import type { Change, ChangeSource } from '../../../shared/domain/change.ts';
import { isId } from '../../../shared/domain/ids.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import { readAccountReset, WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import { type AsideNews, readAsideMessage } from '../aside/set-asides.ts';
import type { PgOutputMessage, UnreadableValues } from '../replication/pgoutput.ts';
import { type AnnouncedReset, readResets } from '../replication/reset-message.ts';
import type { CapturedTable } from './captured-table.ts';
import { createMadeRecords, type MadeRecords } from './made-records.ts';
import { type RowChange, type RowMessage, resetFor, rowChanges } from './row-changes.ts';

/** Where the topic ends. A slot sends whole transactions again; what is at or before this point is skipped. */
export interface ResumePoint {
  /** Every transaction that ended at or before this position is in the topic. */
  readonly passedLsn: Lsn;
  readonly lastCommitLsn: Lsn;
  /**
   * Index of the last published change of the transaction at `lastCommitLsn`, which may be there in part; -1 for none.
   */
  readonly lastIndex: number;
}

/** The content of a seal message, which an export sent after its snapshot. */
export interface Seal {
  readonly jobId: string;
  readonly token: string;
}

export interface EndedTransaction {
  readonly xid: bigint;
  readonly commitLsn: Lsn;
  readonly endLsn: Lsn;
  readonly committedAtMicros: bigint;
  /** Changes of the catalog's tables, including those skipped as published before. */
  readonly changeCount: number;
  readonly seals: readonly Seal[];
}

export interface TransactionHandler<Table> {
  /** The resource of the table; undefined for a table that is not in the catalog. */
  resource(relationId: number): string | undefined;
  /** The table's present version; undefined for a table that is not in the catalog or does not fit it. */
  table(relationId: number): Table | undefined;
  /** Whether messages of the resource are skipped from this index on; see `SetAsides`. */
  isPassedOver(resource: string, commitLsn: Lsn, index: number): boolean;
  /** The 64-bit value of a transaction ID that was just streamed. */
  widenXid(xid: number): bigint;
  /** @param flaw why the change cannot be reported */
  onChange(change: Change, table: Table, flaw?: string): void;
  /** Called for a row whose table does not fit the catalog. */
  onUnfit(resource: string, source: ChangeSource): void;
  /** Called for a message of capture about a resource that is set aside. */
  onAside(resource: string, news: AsideNews, source: ChangeSource): void;
  /** Called when rows of a resource have changed without row messages: its feed starts again with `change`. */
  onReset(change: Change, reset: AnnouncedReset): void;
  /** Called when one account, or all, have to load a resource again. */
  onAccountReset(change: Change): void;
  readonly routing?: TransactionRouting | undefined;
  /** Not called for a transaction that is completely in the topic. */
  onEnd(transaction: EndedTransaction): void;
}

/** The known accounts of records that have their parents' accounts. */
export interface TransactionRouting {
  /** Whether the resource's records have their parents' accounts. */
  isChild(resource: string): boolean;
  /** Whether changes of such records in this transaction come before the start of what is known. */
  isSkipped(xid: bigint, commitLsn: Lsn): boolean;
  /** The resources whose records have their account by records of this one. */
  descendantsOf(resource: string): readonly string[];
  /** The resources that accounts have to load again, because this row moved from one account to another. */
  movedBy(message: PgOutputMessage): readonly MovedResource[];
}

/** An account has to load a resource again; `*` means all accounts. */
export interface MovedResource {
  readonly account: string;
  readonly resource: string;
}

export interface Transactions {
  /**
   * @param lsn of the message's own WAL record
   * @param moved the result of `movedBy`
   * @throws TransactionOrderError
   */
  push(message: PgOutputMessage, lsn: Lsn, moved?: readonly MovedResource[]): void;
  /** The transaction between its Begin and Commit; undefined between two transactions. */
  readonly xid: bigint | undefined;
}

/** Messages in an order that a server never sends. Always a bug. */
export class TransactionOrderError extends Error {
  override readonly name = 'TransactionOrderError';
}

/** A seal is a transaction of its own. The limit bounds what other senders might write. */
const MAX_SEALS = 1_000;

/** The delete of the record under its old key or account, and the insert under the new one. */
const MAX_CHANGES_OF_UPDATE = 2;

/** The former and the present account, under the old and the new key. */
const ACCOUNTS_OF_ROW = 4;

interface OpenTransaction {
  readonly xid: bigint;
  readonly commitLsn: Lsn;
  readonly committedAtMicros: bigint;
  /** It is completely in the topic. */
  readonly isPassed: boolean;
  /** Changes up to this index are in the topic. */
  readonly sentIndex: number;
  nextIndex: number;
  /** The bulk job of the changes that follow. Known again after a restart, because a slot sends whole transactions. */
  bulkJobId: string | null;
  readonly seals: Seal[];
  readonly made: MadeRecords;
}

/**
 * Turns messages into changes with their index in the transaction. The index counts the resulting changes, so a
 * transaction that is streamed again gives each change the same index, and so the same event ID.
 */
export function createTransactions<Table extends CapturedTable>(
  resume: ResumePoint,
  handler: TransactionHandler<Table>,
): Transactions {
  let open: OpenTransaction | undefined;

  /** The next place in the transaction; undefined when its change is in the topic already. */
  const nextPlace = (lsn: Lsn): ChangeSource | undefined => {
    const transaction = needOpen();
    const index = transaction.nextIndex;
    transaction.nextIndex += 1;
    if (index <= transaction.sentIndex) return undefined;
    const { commitLsn, xid, committedAtMicros, bulkJobId } = transaction;
    return { lsn, commitLsn, xid, index, committedAtMicros, bulkJobId };
  };

  const emit = (table: Table, change: RowChange, lsn: Lsn, flaw?: string) => {
    const source = nextPlace(lsn);
    if (source === undefined) return;
    handler.onChange({ ...change, resource: table.rowType.resource, source }, table, flaw);
  };

  /** The table whose changes are reported. A message of any other table of the catalog takes one index here. */
  const tableToAnnounce = (relationId: number, lsn: Lsn): Table | undefined => {
    const resource = handler.resource(relationId);
    if (resource === undefined) return undefined;
    const { commitLsn, nextIndex } = needOpen();
    const isPassedOver = handler.isPassedOver(resource, commitLsn, nextIndex);
    const table = isPassedOver ? undefined : handler.table(relationId);
    if (table !== undefined) return table;
    const source = nextPlace(lsn);
    if (source !== undefined && !isPassedOver) handler.onUnfit(resource, source);
    return undefined;
  };

  const tellRow = (message: RowMessage, lsn: Lsn) => {
    const table = tableToAnnounce(message.relationId, lsn);
    if (table === undefined) return;
    const flaw = findFlaw(table, message.unreadable);
    const { commitLsn, made } = needOpen();
    for (const change of rowChanges(table, message, commitLsn, made)) emit(table, change, lsn, flaw);
  };

  /**
   * A row with a parent, or of one, always takes the maximum number of indexes that it may need for changes and resets.
   * The known accounts may start again between two streamings of a transaction, and all other changes must keep their
   * indexes.
   */
  const pushRow = (message: RowMessage, lsn: Lsn, moved: readonly MovedResource[]) => {
    const { routing } = handler;
    const resource = handler.resource(message.relationId);
    if (routing === undefined || resource === undefined) {
      tellRow(message, lsn);
      return;
    }
    const transaction = needOpen();
    const first = transaction.nextIndex;
    if (!routing.isChild(resource)) tellRow(message, lsn);
    else {
      if (!routing.isSkipped(transaction.xid, transaction.commitLsn)) tellRow(message, lsn);
      transaction.nextIndex = first + (message.kind === 'update' ? MAX_CHANGES_OF_UPDATE : 1);
    }
    const firstReset = transaction.nextIndex;
    for (const { account, resource: name } of moved) {
      const source = nextPlace(lsn);
      if (source !== undefined)
        handler.onAccountReset({ ...resetFor('parent_moved'), account, resource: name, source });
    }
    transaction.nextIndex = firstReset + routing.descendantsOf(resource).length * ACCOUNTS_OF_ROW;
  };

  const needOpen = (): OpenTransaction => {
    if (open === undefined) throw new TransactionOrderError('a change outside of a transaction');
    return open;
  };

  return {
    get xid() {
      return open?.xid;
    },
    push(message, lsn, moved = []) {
      switch (message.kind) {
        case 'begin':
          if (open !== undefined) throw new TransactionOrderError('a transaction begins inside another');
          open = {
            xid: handler.widenXid(message.xid),
            commitLsn: message.commitLsn,
            committedAtMicros: message.committedAtMicros,
            // The end is after the commit record's start, and `passedLsn` is never inside a record.
            isPassed: message.commitLsn < resume.passedLsn,
            sentIndex: message.commitLsn === resume.lastCommitLsn ? resume.lastIndex : -1,
            nextIndex: 0,
            bulkJobId: null,
            seals: [],
            made: createMadeRecords(),
          };
          return;
        case 'commit': {
          const { xid, commitLsn, committedAtMicros, isPassed, nextIndex, seals } = needOpen();
          if (message.commitLsn !== commitLsn)
            throw new TransactionOrderError('a commit of another transaction');
          open = undefined;
          if (!isPassed) {
            const { endLsn } = message;
            handler.onEnd({ xid, commitLsn, endLsn, committedAtMicros, changeCount: nextIndex, seals });
          }
          return;
        }
        case 'insert':
        case 'update':
        case 'delete': {
          if (needOpen().isPassed) return;
          pushRow(message, lsn, moved);
          return;
        }
        case 'truncate': {
          if (needOpen().isPassed) return;
          for (const relationId of message.relationIds) {
            const table = tableToAnnounce(relationId, lsn);
            if (table !== undefined) emit(table, resetFor('table_truncated'), lsn);
          }
          return;
        }
        case 'message': {
          if (!message.isTransactional) return;
          if (message.prefix === WAL_MESSAGES.seal) {
            const seal = readSeal(message.content);
            const { seals } = needOpen();
            if (seal !== undefined && seals.length < MAX_SEALS) seals.push(seal);
          } else if (message.prefix === WAL_MESSAGES.reset) {
            if (needOpen().isPassed) return;
            for (const reset of readResets(message.content)) {
              const { resource, reason: resetReason } = reset;
              const source = nextPlace(lsn);
              if (source !== undefined)
                handler.onReset({ ...resetFor('table_replaced'), resetReason, resource, source }, reset);
            }
          } else if (message.prefix === WAL_MESSAGES.account) {
            if (needOpen().isPassed) return;
            const { account = '', resources = [] } = readAccountReset(message.content) ?? {};
            for (const resource of resources) {
              const source = nextPlace(lsn);
              if (source !== undefined)
                handler.onAccountReset({ ...resetFor('changes_lost'), account, resource, source });
            }
          } else if (message.prefix === WAL_MESSAGES.aside) {
            if (needOpen().isPassed) return;
            const said = readAsideMessage(message.content);
            const source = said && nextPlace(lsn);
            if (said !== undefined && source !== undefined) handler.onAside(said.resource, said.news, source);
          } else if (message.prefix === WAL_MESSAGES.bulk && isId('blk', message.content)) {
            needOpen().bulkJobId = message.content;
          }
          return;
        }
        case 'origin':
        case 'relation':
        case 'type':
          return;
      }
    },
  };
}

/** Why a row can't be reported, when a published value can't be read. Hidden values need not be readable. */
function findFlaw(
  { rowType, tuplePlaces }: CapturedTable,
  unreadable?: UnreadableValues,
): string | undefined {
  if (unreadable === undefined) return undefined;
  const place = tuplePlaces.findIndex((tuplePlace) => unreadable.places.includes(tuplePlace));
  return place === -1
    ? undefined
    : `a value in the column ${rowType.columns[place]?.name ?? ''} can't be read: ${unreadable.reason}`;
}

/** Anyone who may write to the database can send such a message, so invalid ones are ignored. */
function readSeal(content: string): Seal | undefined {
  try {
    const { job_id: jobId, token } = JSON.parse(content) as { job_id?: unknown; token?: unknown };
    return typeof jobId === 'string' && typeof token === 'string' ? { jobId, token } : undefined;
  } catch {
    return undefined;
  }
}
