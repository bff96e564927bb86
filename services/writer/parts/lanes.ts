import type { Log } from '../../../shared/runtime/log.ts';
import { createLane, type Lane } from './lane.ts';

/** The partitions that this member has had rows of since it last joined the group. */
export class Lanes {
  readonly #log: Log;
  #lanes = new Map<string, Lane>();

  constructor(log: Log) {
    this.#log = log;
  }

  of(topic: string, partition: number, resource: string): Lane {
    const key = `${topic}/${partition}`;
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    const lane = createLane(topic, partition, resource);
    this.#lanes.set(key, lane);
    return lane;
  }

  all(): Lane[] {
    return [...this.#lanes.values()];
  }

  get openChunkCount(): number {
    let count = 0;
    for (const { chunks } of this.#lanes.values()) count += chunks.size;
    return count;
  }

  /** Forgets every lane at once, then removes the parts that were open in them. */
  async clear(): Promise<void> {
    const lanes = this.all();
    this.#lanes = new Map();
    for (const lane of lanes) {
      await lane.exclusive(async () => {
        for (const open of lane.chunks.all()) {
          lane.chunks.remove(open);
          await open.part.discard().catch((error: unknown) => {
            this.#log.warn('part.left_over', { path: open.part.path, error });
          });
        }
      });
    }
  }
}
