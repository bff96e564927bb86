import { accountPartition } from '../../../shared/domain/account-partition.ts';
import type { Change, ChangeSource } from '../../../shared/domain/change.ts';
import { formatLsn, type Lsn } from '../../../shared/domain/lsn.ts';
import type { OutgoingMessage } from '../../../shared/kafka/kafka-client.ts';
import { TRACEPARENT, toChangeHeaders } from '../../../shared/protocol/headers.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { UnencodableRowError } from '../../../shared/values/row-body.ts';
import { UnreadableTextError } from '../../../shared/values/unreadable-text-error.ts';
import type { AsideNews, SetAside, SetAsides } from '../aside/set-asides.ts';
import { resetFor } from './row-changes.ts';
import type { EncodableTable, ResetTable } from './tables.ts';
import type { TransactionTraces } from './trace-transactions.ts';
import type { EndedTransaction } from './transactions.ts';

/** Adds changes to the current batch, and sets aside a resource whose change can't be encoded. */
export interface ChangeCollector {
  /** @param flaw why the change cannot be reported, when that is known already */
  add(change: Change, table: EncodableTable, flaw?: string): void;
  /** @returns whether the table of the change is known */
  addReset(change: Change): boolean;
  /** A row came whose table does not fit the catalog. */
  addUnfit(resource: string, source: ChangeSource): void;
  addAside(resource: string, news: AsideNews, source: ChangeSource): void;
  /** The last change that went into a batch. */
  readonly last: { readonly lastCommitLsn: Lsn; readonly lastIndex: number };
}

export interface CollectorDeps {
  readonly setAsides: SetAsides;
  readonly batch: () => Batch;
  readonly partitionCount: number;
  /** Limit of one change's size. */
  readonly limitBytes: number;
  readonly resetTable: (resource: string) => ResetTable | undefined;
  readonly misfitDetail: (resource: string) => string | undefined;
  /** Why a resource is refused, as found for the current message; undefined for one that fits. */
  readonly refusalOf: (resource: string) => string | undefined;
  readonly isMended: (resource: string) => boolean;
  readonly now: () => number;
  /** Undefined when tracing is off. */
  readonly traces?: Pick<TransactionTraces, 'traceparentOf'> | undefined;
  readonly log: Log;
}

/** Limit of the key in a log line and in the state, for the operator. Keys may hold long texts. */
const MAX_KEY_CHARACTERS = 200;

export function createChangeCollector(
  start: { readonly lastCommitLsn: Lsn; readonly lastIndex: number },
  deps: CollectorDeps,
): ChangeCollector {
  const { setAsides, partitionCount, log } = deps;
  let last = { lastCommitLsn: start.lastCommitLsn, lastIndex: start.lastIndex };

  const put = (messages: readonly ChangeMessage[], source: ChangeSource) => {
    const { commitLsn, index } = source;
    const batch = deps.batch();
    const traceparent = deps.traces?.traceparentOf(source);
    for (const message of messages) {
      batch.changes.push(traceparent === undefined ? message : withTrace(message, traceparent));
      batch.bytes += message.value.length;
    }
    last = { lastCommitLsn: commitLsn, lastIndex: index };
  };

  const setAside = (
    aside: Pick<SetAside, 'resource' | 'reason' | 'detail' | 'fromIndex' | 'rowKey'>,
    table: ResetTable,
    source: ChangeSource,
  ) => {
    const { resource, reason, detail } = aside;
    setAsides.add({ ...aside, commitLsn: source.commitLsn, atMs: deps.now(), isRemindDue: false });
    put(changeMessages(table, { ...resetFor(reason), resource, source }, partitionCount), source);
    log.error('resource.set_aside', {
      resource,
      reason,
      detail,
      commitLsn: formatLsn(source.commitLsn),
      effect: 'its changes are skipped, and subscribers get feed.reset; all other resources continue',
      remedy: 'correct what detail names: the resource resumes by itself, with another feed.reset',
    });
  };

  return {
    get last() {
      return last;
    },
    add(change, table, flaw) {
      const { resource, source } = change;
      if (setAsides.isPassedOver(resource, source.commitLsn, source.index)) return;
      let detail = flaw;
      if (detail === undefined) {
        try {
          const messages = changeMessages(table, change, partitionCount);
          for (const message of messages) requireFits(message, deps.limitBytes);
          put(messages, source);
          return;
        } catch (error) {
          if (!isRowFlaw(error)) throw error;
          detail = describeFlaw(error);
        }
      }
      const rowKey = keyOf(change, table);
      const shown = JSON.stringify(rowKey).slice(0, MAX_KEY_CHARACTERS);
      const reason = 'row_unencodable';
      const said = rowKey === null ? detail : `${detail}; the row's key is ${shown}`;
      setAside({ resource, reason, detail: said, fromIndex: source.index + 1, rowKey }, table, source);
    },
    addReset(change) {
      const table = deps.resetTable(change.resource);
      if (table === undefined) return false;
      put(changeMessages(table, change, partitionCount), change.source);
      return true;
    },
    addUnfit(resource, source) {
      const table = deps.resetTable(resource);
      // The stream describes a table before its first row.
      if (table === undefined) throw new Error(`nothing is known of the table of ${resource}`);
      const detail = deps.misfitDetail(resource) ?? 'its table does not fit the catalog';
      const reason = 'table_unfit';
      setAside({ resource, reason, detail, fromIndex: source.index, rowKey: null }, table, source);
    },
    addAside(resource, news, source) {
      const aside = setAsides.find(resource);
      const table = deps.resetTable(resource);
      if (news === 'refuse') {
        const detail = deps.refusalOf(resource);
        if (aside !== undefined || table === undefined || detail === undefined) return;
        const reason = 'table_unfit';
        setAside({ resource, reason, detail, fromIndex: source.index + 1, rowKey: null }, table, source);
        return;
      }
      if (aside === undefined || table === undefined) return;
      if (news === 'resume' && !deps.isMended(resource)) return;
      const reason = news === 'resume' ? 'resource_resumed' : aside.reason;
      if (news === 'resume') setAsides.remove(resource);
      else setAsides.add({ ...aside, isRemindDue: false });
      put(changeMessages(table, { ...resetFor(reason), resource, source }, partitionCount), source);
      if (news === 'resume') log.info('resource.resumed', { resource, sinceLsn: formatLsn(aside.commitLsn) });
    },
  };
}

function withTrace(message: ChangeMessage, traceparent: string): ChangeMessage {
  return { ...message, headers: { ...message.headers, [TRACEPARENT]: traceparent } };
}

/** Null when a key column is null or was not sent. */
function keyOf({ before, after }: Change, { keyPlaces }: EncodableTable): readonly string[] | null {
  const row = after ?? before;
  const key = keyPlaces.map((place) => row?.[place] ?? null);
  return key.some((text) => text === null) ? null : (key as string[]);
}

/** The content of one Kafka transaction, besides the state. */
export interface Batch {
  readonly changes: ChangeMessage[];
  readonly seals: { readonly jobId: string; readonly token: string; readonly commitLsn: Lsn }[];
  /** Bytes of the changes' values. */
  bytes: number;
}

export function createBatch(): Batch {
  return { changes: [], seals: [], bytes: 0 };
}

export function isEmpty(batch: Batch): boolean {
  return batch.changes.length === 0 && batch.seals.length === 0;
}

export function addSeals(batch: Batch, { seals, commitLsn }: EndedTransaction): void {
  for (const seal of seals) batch.seals.push({ ...seal, commitLsn });
}

/** The last Kafka transaction: how many source transactions it held, and when it began, by a monotonic clock. */
export interface LastBatch {
  readonly commitCount: number;
  readonly startedAtMs: number;
}

/**
 * Shortest time between the starts of two batches. A Kafka transaction costs five messages and as many wake-ups,
 * whatever it holds. At 250 commits per second, one transaction for each used as much of the machine as 1,000 commits
 * per second in groups.
 */
const BATCH_INTERVAL_MS = 10;

/**
 * How long the next batch waits for more commits, in milliseconds. Zero after a pause, so that a single commit is
 * published at once, and zero after a batch that took longer than the interval, such as during a backlog.
 */
export function lingerMs({ commitCount, startedAtMs }: LastBatch, nowMs: number): number {
  // A batch without a commit is part of a large transaction, and the next part follows it.
  if (commitCount === 0) return 0;
  return Math.max(0, startedAtMs + BATCH_INTERVAL_MS - nowMs);
}

/** A record of the changes topic with its partition. */
export type ChangeMessage = OutgoingMessage & {
  readonly key: string;
  readonly value: Buffer;
  readonly partition: number;
};

/**
 * A change as records of the changes topic: one on its account's partition. A change for every account becomes one
 * record on each partition, because no consumer reads all of them.
 */
export function changeMessages(
  table: Pick<EncodableTable, 'encode' | 'recordKey'> & Partial<Pick<EncodableTable, 'owner'>>,
  change: Change,
  partitionCount: number,
): ChangeMessage[] {
  const { op, account, resource } = change;
  const row = change.after ?? change.before;
  const record = {
    key: `${account}/${resource}/${row === null ? '[]' : table.recordKey(row)}`,
    value: table.encode(change),
    headers: toChangeHeaders({ resource, account, op }),
  };
  if (row !== null && table.owner?.kind !== 'shared') {
    return [{ ...record, partition: accountPartition(account, partitionCount) }];
  }
  return Array.from({ length: partitionCount }, (_, partition) => ({ ...record, partition }));
}

/** A change that exceeds the topic's size limit. Its resource is set aside. */
class ChangeTooLargeError extends Error {
  override readonly name = 'ChangeTooLargeError';

  constructor(bytes: number, limitBytes: number) {
    super(
      `the change has ${bytes} bytes, and the changes topic takes ${limitBytes}: raise its max.message.bytes above that, and ` +
        "the brokers' replica.fetch.max.bytes with it, then restart capture; or make the row smaller, or hide its largest column",
    );
  }
}

/** Size of a record's headers, the state and the record batch's own header. */
const RECORD_OVERHEAD_BYTES = 220;
const REQUEST_OVERHEAD_BYTES = 1_000;

/** Limit of one request's changes, from the topic's `max.message.bytes`. */
export function requestLimitBytes(maxMessageBytes: number): number {
  return maxMessageBytes - REQUEST_OVERHEAD_BYTES;
}

export function changeBytes({ key, value }: Pick<ChangeMessage, 'key' | 'value'>): number {
  return value.length + Buffer.byteLength(key) * 2 + RECORD_OVERHEAD_BYTES;
}

/** @throws ChangeTooLargeError for a change that does not fit into a request alone */
export function requireFits(message: Pick<ChangeMessage, 'key' | 'value'>, limitBytes: number): void {
  const bytes = changeBytes(message);
  if (bytes > limitBytes) throw new ChangeTooLargeError(bytes, limitBytes);
}

/** A change that cannot be sent. The message names the column or the size, and no value. */
export type RowFlaw = UnencodableRowError | UnreadableTextError | ChangeTooLargeError;

/** Whether an error is the row's fault; any other error is ours or transient. */
export function isRowFlaw(error: unknown): error is RowFlaw {
  return (
    error instanceof UnencodableRowError ||
    error instanceof UnreadableTextError ||
    error instanceof ChangeTooLargeError
  );
}

export function describeFlaw(flaw: RowFlaw): string {
  const { cause } = flaw;
  return cause instanceof UnreadableTextError ? `${flaw.message}: ${cause.message}` : flaw.message;
}
