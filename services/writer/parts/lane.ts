import type { Part } from './part.ts';
import { PartitionChunks } from './partition-chunks.ts';

/** One assigned partition with what is open in it. */
export interface PartitionState {
  readonly topic: string;
  readonly partition: number;
  readonly resource: string;
  readonly chunks: PartitionChunks<Part>;
  /** What the group has as committed from here, as far as this member knows. */
  committed: bigint;
  /** Runs one piece of work at a time: batches, and the watch that closes chunks nobody waits for any longer. */
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
