import type { Log } from '../../../shared/runtime/log.ts';
import { createPartitionState, type PartitionState } from './lane.ts';

/** The partitions that this member has had rows of since it last joined the group. */
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

  /** Forgets every lane at once, then removes the parts that were open in them. */
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
