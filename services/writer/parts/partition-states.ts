import { type ChunkAttempt, chunkAttemptKey } from '../../../shared/control/chunks/chunk-attempts.ts';
import type { RowHeaders } from '../../../shared/protocol/headers.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { Part } from './part.ts';

/** A chunk whose rows are being written. `Part` is where they go. */
export interface OpenChunk<Part> {
  readonly chunkAttempt: ChunkAttempt;
  /** Kafka offset of the attempt's first row: the partition's committed offset may not pass it. */
  readonly firstOffset: bigint;
  /** Epoch milliseconds. */
  readonly openedAtMs: number;
  readonly rowsPlanned: number;
  readonly part: Part;
  /** Sequence number of the next row, and so the number of rows so far. */
  nextSeq: number;
  /** Its last row is here: nothing is appended any more, and its part is being recorded. */
  isWhole: boolean;
}

/**
 * What to do with a row, given the open chunk of the same number.
 *
 * `append`: it is the next row. `drop`: a repeat, or a row of an earlier attempt. `ask`: only the control store knows whether
 * its attempt is current. `hole`: a row before it is lost, because a chunk's rows are in one partition, in order.
 */
export type RowClass = 'append' | 'drop' | 'ask' | 'hole';

export function classifyRow(
  open:
    | {
        readonly chunkAttempt: Pick<ChunkAttempt, 'attempt'>;
        readonly nextSeq: number;
        readonly isWhole: boolean;
      }
    | undefined,
  row: Pick<RowHeaders, 'attempt' | 'seq'>,
): RowClass {
  if (open === undefined || row.attempt > open.chunkAttempt.attempt) return 'ask';
  if (open.isWhole || row.attempt < open.chunkAttempt.attempt || row.seq < open.nextSeq) return 'drop';
  return row.seq === open.nextSeq ? 'append' : 'hole';
}

/**
 * The open chunks of one partition.
 *
 * Invariant: at most one attempt of a chunk is open, and `floor` never passes the first row of an open chunk. So a consumer that
 * continues from a committed offset reads every row of every unfinished chunk.
 */
export class PartitionChunks<Part> {
  readonly #open = new Map<string, OpenChunk<Part>>();
  // Rows of a chunk come in runs, so the last chunk found is nearly always the next one.
  #latest: OpenChunk<Part> | undefined;
  /** The offset after the last row that was read. */
  #position = 0n;

  /** Chunks that wait for rows. A complete one closes by itself. */
  get waitingCount(): number {
    let count = 0;
    for (const { isWhole } of this.#open.values()) if (!isWhole) count += 1;
    return count;
  }

  get position(): bigint {
    return this.#position;
  }

  advanceTo(position: bigint): void {
    this.#position = position;
  }

  find(exportId: string, chunk: number): OpenChunk<Part> | undefined {
    const latest = this.#latest;
    if (latest?.chunkAttempt.chunk === chunk && latest.chunkAttempt.exportId === exportId) return latest;
    const found = this.#open.get(keyOf(exportId, chunk));
    if (found !== undefined) this.#latest = found;
    return found;
  }

  add(chunk: OpenChunk<Part>): void {
    this.#open.set(keyOf(chunk.chunkAttempt.exportId, chunk.chunkAttempt.chunk), chunk);
    this.#latest = chunk;
  }

  has(chunk: OpenChunk<Part>): boolean {
    return this.#open.get(keyOf(chunk.chunkAttempt.exportId, chunk.chunkAttempt.chunk)) === chunk;
  }

  remove(chunk: OpenChunk<Part>): void {
    this.#open.delete(keyOf(chunk.chunkAttempt.exportId, chunk.chunkAttempt.chunk));
    if (this.#latest === chunk) this.#latest = undefined;
  }

  /** Oldest first. */
  all(): OpenChunk<Part>[] {
    return [...this.#open.values()];
  }

  /** The offset that may be committed: every row before it is durable or dropped. */
  floor(): bigint {
    let floor = this.#position;
    for (const { firstOffset } of this.#open.values()) if (firstOffset < floor) floor = firstOffset;
    return floor;
  }
}

function keyOf(exportId: string, chunk: number): string {
  return `${exportId}/${chunk}`;
}

/** State of one assigned partition: its open chunks and its committed offset. */
export interface PartitionState {
  readonly topic: string;
  readonly partition: number;
  readonly resource: string;
  readonly chunks: PartitionChunks<Part>;
  /** The group's committed offset, as far as this member knows; -1 before its first commit. */
  committed: bigint;
  /** Runs one piece of work at a time: batches, and the watch that closes obsolete chunks. */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
}

export function createPartitionState(topic: string, partition: number, resource: string): PartitionState {
  let tail: Promise<unknown> = Promise.resolve();
  return {
    topic,
    partition,
    resource,
    chunks: new PartitionChunks<Part>(),
    committed: -1n,
    exclusive(work) {
      const result = tail.then(work);
      tail = result.catch(() => undefined);
      return result;
    },
  };
}

/** States of the partitions from which this member has read rows since it last joined the group. */
export class PartitionStates {
  readonly #log: Log;
  #partitionStates = new Map<string, PartitionState>();

  constructor(log: Log) {
    this.#log = log;
  }

  of(topic: string, partition: number, resource: string): PartitionState {
    const key = `${topic}/${partition}`;
    const known = this.#partitionStates.get(key);
    if (known !== undefined) return known;
    const partitionState = createPartitionState(topic, partition, resource);
    this.#partitionStates.set(key, partitionState);
    return partitionState;
  }

  all(): PartitionState[] {
    return [...this.#partitionStates.values()];
  }

  get openChunkCount(): number {
    let count = 0;
    for (const { chunks } of this.#partitionStates.values()) count += chunks.waitingCount;
    return count;
  }

  /** Forgets all partitions at once, then removes their open parts. */
  async clear(): Promise<void> {
    const partitionStates = this.all();
    this.#partitionStates = new Map();
    for (const partitionState of partitionStates) {
      await partitionState.exclusive(async () => {
        for (const open of partitionState.chunks.all()) {
          partitionState.chunks.remove(open);
          await open.part.discard().catch((error: unknown) => {
            this.#log.warn('part.left_over', { path: open.part.path, error });
          });
        }
      });
    }
  }
}

/** An attempt's rows come in one run, so a few thousand entries suffice; a forgotten one costs one more query. */
const MAX_KEPT = 20_000;

/** Attempts whose rows are dropped. An attempt that is no longer current never becomes current again. */
export class StaleAttempts {
  readonly #keys = new Set<string>();

  add(chunkAttempt: ChunkAttempt): void {
    this.#keys.add(chunkAttemptKey(chunkAttempt));
    if (this.#keys.size <= MAX_KEPT) return;
    // A Set keeps the order of insertion, so the first is the oldest.
    for (const oldest of this.#keys) {
      this.#keys.delete(oldest);
      return;
    }
  }

  has(chunkAttempt: ChunkAttempt): boolean {
    return this.#keys.has(chunkAttemptKey(chunkAttempt));
  }
}
