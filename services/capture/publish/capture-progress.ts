import type { TableRecord } from '../../../shared/kafka/capture-tables.ts';
import type { CaptureStateMessage } from '../../../shared/kafka/messages.ts';
import type { SetAside, SetAsideReason } from '../aside/set-asides.ts';
import type { ResumePoint } from '../changes/transactions.ts';
import type { TableIdentities } from '../replication/reset-message.ts';
import type { SettledState } from './settled.ts';

/** How far each partition's changes are numbered; see `ChainLink`. */
export interface ChainState {
  readonly id: string;
  /** The last number used, by partition. A partition that is absent has none yet. */
  readonly seqs: readonly number[];
}

/** The state of capture: a CaptureState record with wide numbers, and the tables that it refers to. */
export interface CaptureProgress extends ResumePoint, SettledState {
  readonly systemId: string;
  readonly timeline: number;
  /** Announced tables by resource; a resource whose table was never seen has none. */
  readonly tables: TableIdentities;
  /** The records that have them; undefined in a state of an earlier version, and in one that was not read. */
  readonly tableRecords?: readonly TableRecord[];
  /** A record of tables is gone from the topic, so it is unknown how some of them stand in the feed. */
  readonly areTablesLost?: true;
  /** Resources whose changes are skipped. */
  readonly setAsides: readonly SetAside[];
  /** The publisher's chain; undefined before its first batch. */
  readonly chain?: ChainState;
}

/** @param tableRecords offsets of the records that have the tables */
export function toCaptureState(
  slot: string,
  progress: CaptureProgress,
  tableRecords: readonly number[],
): CaptureStateMessage {
  return {
    slot,
    system_id: progress.systemId,
    timeline: progress.timeline,
    last_commit_lsn: Number(progress.lastCommitLsn),
    last_index: progress.lastIndex,
    passed_lsn: Number(progress.passedLsn),
    settled_lsn: Number(progress.settledLsn),
    snapshot: progress.snapshot,
    unsettled: progress.unsettled.map(({ commitLsn, xid }) => ({
      commit_lsn: Number(commitLsn),
      xid: Number(xid),
    })),
    unsettled_xmin: progress.unsettledXmin === null ? null : Number(progress.unsettledXmin),
    table_records: [...tableRecords],
    // An earlier version reads these, and then takes the tables as they are.
    tables: [],
    catalog: [],
    set_aside: progress.setAsides.map((aside) => ({
      resource: aside.resource,
      reason: aside.reason,
      detail: aside.detail,
      commit_lsn: Number(aside.commitLsn),
      from_index: aside.fromIndex,
      since: aside.atMs,
      row_key: aside.rowKey === null ? null : [...aside.rowKey],
      is_remind_due: aside.isRemindDue,
    })),
    chain: progress.chain === undefined ? null : { id: progress.chain.id, seqs: [...progress.chain.seqs] },
  };
}

/**
 * @param records those that the state refers to, with undefined for one that is gone; undefined for a state of an
 * earlier version, which has the tables itself
 */
export function fromCaptureState(
  message: CaptureStateMessage,
  records: readonly (TableRecord | undefined)[] | undefined,
): CaptureProgress {
  const tableRecords = records?.filter((record) => record !== undefined);
  const tables = tableRecords?.flatMap((record) => record.tables) ?? message.tables ?? [];
  return {
    systemId: message.system_id,
    timeline: message.timeline,
    lastCommitLsn: BigInt(message.last_commit_lsn),
    lastIndex: message.last_index,
    passedLsn: BigInt(message.passed_lsn),
    settledLsn: BigInt(message.settled_lsn),
    snapshot: message.snapshot,
    unsettled: message.unsettled.map(({ commit_lsn: commitLsn, xid }) => ({
      commitLsn: BigInt(commitLsn),
      xid: BigInt(xid),
    })),
    unsettledXmin: message.unsettled_xmin === null ? null : BigInt(message.unsettled_xmin),
    tables: new Map(
      tables.flatMap(({ resource, identity }) => (identity === null ? [] : [[resource, identity]])),
    ),
    ...(tableRecords === undefined ? {} : { tableRecords }),
    ...(records?.includes(undefined) === true ? { areTablesLost: true } : {}),
    setAsides: (message.set_aside ?? []).map((aside) => ({
      resource: aside.resource,
      reason: aside.reason as SetAsideReason,
      detail: aside.detail,
      commitLsn: BigInt(aside.commit_lsn),
      fromIndex: aside.from_index,
      atMs: aside.since,
      rowKey: aside.row_key,
      isRemindDue: aside.is_remind_due,
    })),
    ...(message.chain == null ? {} : { chain: message.chain }),
  };
}
