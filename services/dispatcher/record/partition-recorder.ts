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

/** Reads messages of one partition, in their order, for as long as nobody else reads it. */
export type ReadChanges = (messages: readonly ChangeMessage[]) => Promise<ReadChange[]>;

/**
 * Tells by capture's count what was recorded before and where records are missing.
 *
 * @param lastRecorded how far the partition is recorded, asked before the first counted message
 */
export function createReadChanges(lastRecorded: () => Promise<ChainLink | null>): ReadChanges {
  let last: ChainLink | null | undefined;
  let asking: Promise<ChainLink | null> | undefined;
  /** Reads may wait for it together, and each goes on from where the one before it came to. */
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

/** Changes of one statement. */
const MAX_CHANGES = 1_000;

export interface PartitionRecorderDeps {
  readonly partition: number;
  readonly read: ReadChanges;
  readonly record: RecordBatch;
  /** The offset to read from when the partition was taken over. */
  readonly start: () => Promise<bigint>;
  /** The first offset that the partition still has. */
  readonly earliest: () => Promise<bigint>;
  /** Does work when it is the partition's turn among all that record. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
  readonly onRecorded: (recorded: Recorded) => void;
  /** The bytes that are read and not recorded have changed by so many. */
  readonly onBytes: (change: number) => void;
  readonly log: Log;
}

/**
 * Records what is read of one partition, beside the reading: while a large transaction is being recorded, what follows it is read, and
 * of that other accounts' changes go first. For as long as this process has the partition without a break.
 */
export interface PartitionRecorder {
  /** Of what is read and not recorded. */
  readonly bytes: number;
  /** Takes up messages; they are recorded by and by. @throws when it can't be told what was recorded before them */
  add(messages: readonly ChangeMessage[]): Promise<void>;
  /**
   * Whether what was fetched from the offset `first` on follows what was taken up, or the start, without a break. It does not
   * when it was asked for before the group was joined again: what was read then and not recorded is in between.
   *
   * @returns undefined when it follows; else the offset from which to read instead
   */
  findBreak(first: string): Promise<string | undefined>;
  /**
   * Tells that what is behind the last recorded change, up to this one, is lost; `end` is where the partition ends or ended.
   *
   * @param place everything up to `upTo` is before it, and everything else behind it, unless a transaction has begun before it
   * @returns false when all that was read already, and nothing waits to be told
   */
  loseTail(upTo: ChainLink, end: bigint, place: ChangePlace): Promise<boolean>;
  /** Offsets up to here hold nothing else that is to be recorded. */
  pass(offset: string): void;
  /** Resolves once something more is recorded. */
  progressed(): Promise<void>;
  /** Others may have the partition now: what is not recorded is forgotten, and read again by whoever has it. */
  abandon(): void;
}

export function createPartitionRecorder(deps: PartitionRecorderDeps, signal: AbortSignal): PartitionRecorder {
  const backlog = createBacklog();
  const abandoned = new AbortController();
  const over = anySignal([signal, abandoned.signal]).signal;
  let isRecording = false;
  let progress = Promise.withResolvers<void>();
  /** Behind the last that was taken up; undefined until it is known where to begin. */
  let next: bigint | undefined;
  /** Where reading went on instead, last. */
  let soughtFor: { readonly next: bigint; readonly first: bigint } | undefined;

  const step = () => {
    progress.resolve();
    progress = Promise.withResolvers();
  };

  /** Changes in the backlog that records are missing before. */
  let gapCount = 0;
  let isLossTold = true;
  /** Of what is recorded while a loss is not told: that is stored with it, so that a crash between loses neither. */
  let heldLink: ChainLink | undefined;

  /** A loss is told in its place only when nothing gets ahead of what comes behind it. */
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
      // It is over, and what is not recorded is read again.
    } finally {
      // In the same moment in which nothing more was found: what is added next starts it again.
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
      // Nothing can be read of what is deleted; whether it was recorded is known by its number.
      const earliest = await deps.earliest();
      if (earliest > next) next = earliest;
      if (first <= next) return undefined;
      // It was read from there, and there is nothing in between.
      if (soughtFor?.next === next && soughtFor.first === first) return undefined;
      soughtFor = { next, first };
      return next.toString();
    },
    async loseTail(upTo, end, place) {
      const offset = String((next === undefined || next < end ? end : next) - 1n);
      const headers = { [CHAIN_HEADER]: formatChainLink(upTo) };
      // As if the last of the lost ones had come: what comes next is then counted from there.
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
