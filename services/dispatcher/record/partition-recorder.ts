import {
  CHAIN_HEADER,
  type ChainLink,
  formatChainLink,
  type MessageHeaders,
  readChainLink,
  readChangeAccount,
  readTraceparent,
} from '../../../shared/protocol/headers.ts';
import { anySignal } from '../../../shared/runtime/any-signal.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { isTracing } from '../../../shared/runtime/tracing.ts';
import { keepTrying } from '../keep-trying.ts';
import { createBacklog, type ReadChange, type Recorded } from './backlog.ts';
import type { ChangePlace } from './lost-changes.ts';
import type { RecordBatch } from './record-batch.ts';
import { classifyLink } from './recorded-chain.ts';

export interface ChangeMessage {
  readonly offset: string;
  readonly value: Buffer | null;
  readonly headers?: MessageHeaders;
}

/** Reads messages of one partition in order, while no other process reads it. */
export type ReadChanges = (messages: readonly ChangeMessage[]) => Promise<ReadChange[]>;

/**
 * Decides by capture's count which changes were recorded before and where records are missing.
 *
 * @param lastRecorded how far the partition is recorded; called before the first counted message
 */
export function createReadChanges(lastRecorded: () => Promise<ChainLink | null>): ReadChanges {
  let last: ChainLink | null | undefined;
  let asking: Promise<ChainLink | null> | undefined;
  /** Several reads may wait for this at once. The later ones continue from where the earlier ones got to. */
  const start = async (): Promise<void> => {
    asking ??= lastRecorded();
    try {
      const stored = await asking;
      if (last === undefined) last = stored;
    } catch (error) {
      asking = undefined;
      throw error;
    }
  };
  return async (messages) => {
    const changes: ReadChange[] = [];
    for (const { offset, value, headers } of messages) {
      if (value === null) continue;
      const found = readChainLink(headers);
      let isAfterGap = false;
      let link: ChainLink | undefined;
      if (found !== undefined) {
        if (last === undefined) await start();
        const verdict = classifyLink(last ?? null, found);
        isAfterGap = verdict === 'gap';
        if (verdict !== 'repeat') {
          link = found;
          last = found;
        }
      }
      const change = { offset, value, account: readChangeAccount(headers), link, isAfterGap };
      changes.push(isTracing() ? { ...change, traceparent: readTraceparent(headers) } : change);
    }
    return changes;
  };
}

/** Limit of changes per call of `record`. */
const MAX_CHANGES = 1_000;

export interface PartitionRecorderDeps {
  readonly partition: number;
  readonly read: ReadChanges;
  readonly record: RecordBatch;
  /** The offset at which reading started when this process got the partition. */
  readonly start: () => Promise<bigint>;
  /** The first offset that the partition still holds. */
  readonly earliest: () => Promise<bigint>;
  /** Runs `work` when it is the partition's turn among all partitions. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
  readonly onRecorded: (recorded: Recorded) => void;
  /** Called with each change, in bytes, of what is read and not recorded. */
  readonly onBytes: (change: number) => void;
  readonly log: Log;
}

/**
 * Records one partition's changes in parallel to reading them: during a large transaction the following changes are
 * read, and those of other accounts are recorded first. Lives while this process has the partition without a break.
 */
export interface PartitionRecorder {
  /** Bytes that are read and not recorded. */
  readonly bytes: number;
  /** Takes messages, to be recorded later. @throws when it can't be found out what was recorded before them */
  add(messages: readonly ChangeMessage[]): Promise<void>;
  /**
   * Checks that a fetch starting at the offset `first` directly follows what was taken, or the start. It does not if it
   * was requested before the group was joined again: changes read before then and not recorded lie between.
   *
   * @returns undefined when it follows; otherwise the offset to read from instead
   */
  findBreak(first: string): Promise<string | undefined>;
  /**
   * Reports everything after the last recorded change as lost, up to the link `upTo`.
   *
   * @param end where the partition ends or ended
   * @param place a place in the feed: what is published up to `upTo` comes before it and everything else after it,
   * unless a transaction started before it
   * @returns false when all of that was read already and no loss waits to be reported
   */
  loseTail(upTo: ChainLink, end: bigint, place: ChangePlace): Promise<boolean>;
  /** Notes that offsets up to this one hold nothing else to record. */
  pass(offset: string): void;
  /** Resolves when more is recorded. */
  progressed(): Promise<void>;
  /**
   * Stops, because other processes may have the partition now. What is not recorded is forgotten, and read again by the
   * next owner.
   */
  abandon(): void;
}

export function createPartitionRecorder(deps: PartitionRecorderDeps, signal: AbortSignal): PartitionRecorder {
  const backlog = createBacklog();
  const abandoned = new AbortController();
  const over = anySignal([signal, abandoned.signal]).signal;
  let isRecording = false;
  let progress = Promise.withResolvers<void>();
  /** The offset after the last message taken; undefined until the start is known. */
  let next: bigint | undefined;
  /** The last place where reading continued instead. */
  let soughtFor: { readonly next: bigint; readonly first: bigint } | undefined;

  const step = () => {
    progress.resolve();
    progress = Promise.withResolvers();
  };

  /** Number of changes in the backlog with records missing before them. */
  let gapCount = 0;
  let isLossTold = true;
  /**
   * The last link recorded while a loss is not reported. It is stored together with the loss, so that a crash between
   * the two loses neither.
   */
  let heldLink: ChainLink | undefined;

  /** A loss is reported at its place only if nothing overtakes the changes behind it. */
  const isInOrder = () => gapCount > 0 || !isLossTold;

  const add = (change: ReadChange) => {
    if (change.isAfterGap) gapCount += 1;
    deps.onBytes(backlog.add(change, isInOrder()));
  };

  const tell = (recorded: Recorded | undefined) => {
    if (recorded === undefined) return;
    const link = recorded.link ?? heldLink;
    heldLink = isLossTold ? undefined : link;
    deps.onRecorded({ offset: recorded.offset, link: isLossTold ? link : undefined });
  };

  const start = async (): Promise<void> => {
    if (isRecording || over.aborted) return;
    isRecording = true;
    try {
      for (let changes = backlog.take(MAX_CHANGES); changes.length > 0; changes = backlog.take(MAX_CHANGES)) {
        const recordThem = () => deps.inTurn(() => deps.record(deps.partition, changes));
        const isTold = await keepTrying('recording changes', recordThem, deps.log, over);
        if (over.aborted) return;
        isLossTold = isTold;
        gapCount -= changes.filter(({ isAfterGap }) => isAfterGap).length;
        const before = backlog.bytes;
        tell(backlog.finish(changes));
        deps.onBytes(backlog.bytes - before);
        step();
      }
    } catch {
      // The partition was given up. What is not recorded is read again.
    } finally {
      // In the same turn in which the backlog was empty: the next `add` starts it again.
      isRecording = false;
    }
  };

  return {
    get bytes() {
      return over.aborted ? 0 : backlog.bytes;
    },
    async add(messages) {
      const changes = await deps.read(messages);
      if (over.aborted) return;
      for (const change of changes) add(change);
      const last = messages.at(-1);
      if (last !== undefined) next = BigInt(last.offset) + 1n;
      void start();
    },
    async findBreak(firstOffset) {
      const first = BigInt(firstOffset);
      if (next === undefined) {
        const start = await deps.start();
        next ??= start;
      }
      if (first <= next) return undefined;
      // Deleted records can't be read. Their numbers tell whether they were recorded.
      const earliest = await deps.earliest();
      if (earliest > next) next = earliest;
      if (first <= next) return undefined;
      // The previous seek led here, so there is nothing in between.
      if (soughtFor?.next === next && soughtFor.first === first) return undefined;
      soughtFor = { next, first };
      return next.toString();
    },
    async loseTail(upTo, end, place) {
      const offset = String((next === undefined || next < end ? end : next) - 1n);
      const headers = { [CHAIN_HEADER]: formatChainLink(upTo) };
      // As if the last lost record had arrived, so that the next record is counted from there.
      const [change] = await deps.read([{ offset, value: Buffer.alloc(0), headers }]);
      if (over.aborted || change === undefined || (change.link === undefined && isLossTold)) return false;
      add({ ...change, isAfterGap: true, lost: { through: upTo, place } });
      void start();
      return true;
    },
    pass(offset) {
      if (over.aborted) return;
      next = BigInt(offset) + 1n;
      backlog.pass(offset);
      tell(backlog.finish([]));
    },
    progressed: () => progress.promise,
    abandon() {
      if (abandoned.signal.aborted) return;
      abandoned.abort();
      deps.onBytes(-backlog.bytes);
      step();
    },
  };
}
