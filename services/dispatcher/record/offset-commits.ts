import type { KafkaConsumer, OffsetToCommit } from '../../../shared/kafka/kafka-client.ts';
import type { Log } from '../../../shared/runtime/log.ts';

/** Offsets that lag by this much cost at most this much reading again, and nothing is recorded twice. */
const COMMIT_INTERVAL_MS = 500;

/**
 * After these the partitions are read again from what is committed, by this member or another, and noted anew. To commit
 * then what was noted before could take another member's offsets back.
 */
const READ_AGAIN_AFTER: ReadonlySet<unknown> = new Set([
  'REBALANCE_IN_PROGRESS',
  'UNKNOWN_MEMBER_ID',
  'ILLEGAL_GENERATION',
]);

/**
 * Commits offsets now and then beside the work, because waiting for each commit would add a round trip to every
 * event's way. Call `note` only for what is already recorded. What could not be committed is tried again: exports of
 * changes wait for the offsets, and on a quiet source nothing else would come.
 */
export interface OffsetCommits {
  /** @param metadata kept with the offset */
  note(topic: string, partition: number, lastOffset: string, metadata?: string): void;
  /** The group was joined again: everything is read from what is committed, and noted anew, by this member or another. */
  forgetAll(): void;
  /** Commits what was noted last; for the end, while the group is still joined. Nothing is tried again after it. */
  flush(): Promise<void>;
}

/** @param saveFirst what has to be stored before offsets are committed; when it fails, they are tried again with it */
export function createOffsetCommits(
  consumer: Pick<KafkaConsumer, 'commitOffsets'>,
  log: Log,
  saveFirst: () => Promise<void> = async () => undefined,
): OffsetCommits {
  const noted = new Map<string, OffsetToCommit>();
  let timer: NodeJS.Timeout | undefined;
  let isEnding = false;
  /** How often the group was joined. */
  let joins = 0;

  const commit = async () => {
    clearTimeout(timer);
    timer = undefined;
    const joinsThen = joins;
    const offsets = [...noted.entries()];
    noted.clear();
    if (offsets.length === 0) return;
    try {
      await saveFirst();
      if (joins !== joinsThen) return;
      await consumer.commitOffsets(offsets.map(([, each]) => each));
    } catch (error) {
      log.debug('offsets.not_committed', { error });
      if (isEnding || joins !== joinsThen || isReadAgainAfter(error)) return;
      for (const [key, each] of offsets) if (!noted.has(key)) noted.set(key, each);
      arm();
    }
  };

  const arm = () => {
    timer ??= setTimeout(() => void commit(), COMMIT_INTERVAL_MS);
  };

  return {
    note(topic, partition, lastOffset, metadata) {
      const offset = (BigInt(lastOffset) + 1n).toString();
      noted.set(`${topic}/${partition}`, { topic, partition, offset, metadata: metadata ?? null });
      arm();
    },
    forgetAll() {
      joins += 1;
      noted.clear();
    },
    flush() {
      isEnding = true;
      return commit();
    },
  };
}

/** kafkajs wraps what a broker says into an error that has no type. */
function isReadAgainAfter(error: unknown): boolean {
  const { type, cause } = error as { type?: unknown; cause?: unknown };
  return READ_AGAIN_AFTER.has(type) || (cause instanceof Error && isReadAgainAfter(cause));
}

/** Aborts once the signal has aborted and what was noted is committed: while it has not, the group is still joined. */
export function leaveAfterFlush(commits: Pick<OffsetCommits, 'flush'>, signal: AbortSignal): AbortSignal {
  const leaving = new AbortController();
  signal.addEventListener('abort', () => void commits.flush().finally(() => leaving.abort()), { once: true });
  return leaving.signal;
}
