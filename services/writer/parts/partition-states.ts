import type { Log } from '../../../shared/runtime/log.ts';
import type { Part } from './part.ts';
import { PartitionChunks } from './partition-chunks.ts';

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
    for (const { chunks } of this.#partitionStates.values()) count += chunks.size;
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
