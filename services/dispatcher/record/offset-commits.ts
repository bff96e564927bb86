import type { KafkaConsumer, OffsetToCommit } from '../../../shared/kafka/kafka-client.ts';
import type { Log } from '../../../shared/runtime/log.ts';

/** At most this much is read again after a crash, and nothing is recorded twice. */
const COMMIT_INTERVAL_MS = 500;

/**
 * Errors after which the partitions are read again from the committed offsets, by this member or another. Committing
 * the earlier offsets then could move another member's offsets back.
 */
const READ_AGAIN_AFTER: ReadonlySet<unknown> = new Set([
  'REBALANCE_IN_PROGRESS',
  'UNKNOWN_MEMBER_ID',
  'ILLEGAL_GENERATION',
]);

/**
 * Commits offsets in the background, because waiting for each commit would add a round trip to every event. Call `note`
 * only for what is already recorded. A failed commit is repeated: changes-since exports wait for the offsets, and on a
 * quiet source no later commit would follow.
 */
export interface OffsetCommits {
  /** @param metadata stored with the offset */
  note(topic: string, partition: number, lastOffset: string, metadata?: string): void;
  /** Drops all offsets after the group was joined again: everything is read again from the committed ones. */
  forgetAll(): void;
  /** Commits the last offsets, before the group is left. After it, failures are not repeated. */
  flush(): Promise<void>;
}

/** @param saveFirst stores what must be durable before offsets are committed. When it fails, both are repeated */
export function createOffsetCommits(
  consumer: Pick<KafkaConsumer, 'commitOffsets'>,
  log: Log,
  saveFirst: () => Promise<void> = async () => undefined,
): OffsetCommits {
  const noted = new Map<string, OffsetToCommit>();
  let timer: NodeJS.Timeout | undefined;
  let isEnding = false;
  /** Number of joins so far. */
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

/** kafkajs wraps a broker's error into one without a type. */
function isReadAgainAfter(error: unknown): boolean {
  const { type, cause } = error as { type?: unknown; cause?: unknown };
  return READ_AGAIN_AFTER.has(type) || (cause instanceof Error && isReadAgainAfter(cause));
}

/**
 * Aborts after `signal` has aborted and the last offsets are committed, because a commit needs the group membership.
 */
export function leaveAfterFlush(commits: Pick<OffsetCommits, 'flush'>, signal: AbortSignal): AbortSignal {
  const leaving = new AbortController();
  signal.addEventListener('abort', () => void commits.flush().finally(() => leaving.abort()), { once: true });
  return leaving.signal;
}
