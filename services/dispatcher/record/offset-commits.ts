import type { Consumer } from 'kafkajs';
import type { Log } from '../../../shared/runtime/log.ts';

/** Offsets that lag by this much cost at most this much reading again, and nothing is recorded twice. */
const COMMIT_INTERVAL_MS = 500;

/**
 * Commits offsets now and then beside the work, because waiting for each commit would add a round trip to every
 * event's way. Call `note` only for what is already recorded.
 */
export interface OffsetCommits {
  note(topic: string, partition: number, lastOffset: string): void;
  /** Commits what was noted last; for the end, while the group is still joined. */
  flush(): Promise<void>;
}

export function createOffsetCommits(consumer: Pick<Consumer, 'commitOffsets'>, log: Log): OffsetCommits {
  const noted = new Map<string, { topic: string; partition: number; offset: string }>();
  let timer: NodeJS.Timeout | undefined;

  const flush = async () => {
    clearTimeout(timer);
    timer = undefined;
    const offsets = [...noted.values()];
    noted.clear();
    if (offsets.length === 0) return;
    try {
      await consumer.commitOffsets(offsets);
    } catch (error) {
      // The partitions may have just gone to another member, which then reads a little again.
      log.debug('offsets.not_committed', { error });
    }
  };

  return {
    note(topic, partition, lastOffset) {
      const offset = (BigInt(lastOffset) + 1n).toString();
      noted.set(`${topic}/${partition}`, { topic, partition, offset });
      timer ??= setTimeout(() => void flush(), COMMIT_INTERVAL_MS);
    },
    flush,
  };
}
