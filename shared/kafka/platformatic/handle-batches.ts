import type { Log } from '../../runtime/log.ts';
import { backoffMs } from '../../runtime/retry.ts';
import { sleep } from '../../runtime/sleep.ts';
import {
  type BatchPayload,
  type ConsumerRun,
  type EndedBatch,
  KafkaError,
  type OffsetToCommit,
} from '../kafka-client.ts';
import type { FetchingDeps, Position } from './fetching.ts';
import type { CommittedRecords } from './read-batches.ts';

export interface HandlerDeps {
  readonly config: ConsumerRun;
  /** Aborts when the group is joined again, or left. */
  readonly signal: AbortSignal;
  readonly commit: (offsets: readonly OffsetToCommit[]) => Promise<void>;
  readonly emitEnd: (payload: EndedBatch) => void;
  readonly log: Log;
}

/** A handler that failed gets the same records again after this. */
const REPEAT = { initialMs: 100, maxMs: 5_000 };

/** Gives fetched records to the consumer, a limited number of partitions at a time, and moves positions on. */
export function createHandler({ config, signal, commit, emitEnd, log }: HandlerDeps): FetchingDeps['handle'] {
  const failures = new Map<Position, number>();
  const takeTurn = createTurns(config.partitionsConsumedConcurrently ?? 1);

  const handleEach = async (position: Position, records: CommittedRecords): Promise<void> => {
    const { topic, partition, seeks } = position;
    const { messages, lastOffset } = records;
    const isStale = () => signal.aborted || position.seeks !== seeks;
    const advance = (last: bigint) => {
      if (!isStale()) position.next = last + 1n;
    };
    const first = messages[0]?.offset ?? null;
    if (messages.length === 0) advance(lastOffset);
    else if (config.eachMessage !== undefined) {
      for (const message of messages) {
        if (isStale()) return;
        await config.eachMessage({ topic, partition, message });
        advance(BigInt(message.offset));
      }
      advance(lastOffset);
    } else if (config.eachBatch !== undefined) {
      const payload: BatchPayload = {
        batch: { topic, partition, messages, firstOffset: () => first, lastOffset: () => String(lastOffset) },
        resolveOffset: (offset) => advance(BigInt(offset)),
        async heartbeat() {
          if (!signal.aborted) return;
          throw new KafkaError('the group is rebalancing', { type: 'REBALANCE_IN_PROGRESS' });
        },
        isRunning: () => !signal.aborted,
        isStale,
        pause() {
          position.isPaused = true;
          return () => {
            position.isPaused = false;
          };
        },
        commitOffsetsIfNecessary: ({ topics }) =>
          commit(topics.flatMap((each) => each.partitions.map((place) => ({ topic: each.topic, ...place })))),
      };
      await config.eachBatch(payload);
      const isResolved = position.next > BigInt(messages.at(-1)?.offset ?? lastOffset);
      if (config.eachBatchAutoResolve !== false || isResolved) advance(lastOffset);
    }
    if (isStale()) return;
    emitEnd({
      topic,
      partition,
      batchSize: messages.length,
      firstOffset: first,
      lastOffset: String(lastOffset),
    });
    if (config.autoCommit === false) return;
    await commit([{ topic, partition, offset: String(position.next) }]).catch((error: unknown) => {
      log.debug('kafka.offset_not_committed', { topic, partition, error });
    });
  };

  return (position, records) =>
    takeTurn(async () => {
      if (signal.aborted) return;
      try {
        await handleEach(position, records);
        failures.delete(position);
      } catch (error) {
        if (signal.aborted) return;
        const failed = failures.get(position) ?? 0;
        failures.set(position, failed + 1);
        const { topic, partition } = position;
        log.warn('kafka.reported', {
          message: 'a batch failed',
          topic,
          partition,
          next: String(position.next),
          error,
        });
        await sleep(backoffMs(failed, REPEAT), signal);
      }
    });
}

/** Runs a limited number at a time, in the order in which they come. */
function createTurns(count: number): (work: () => Promise<void>) => Promise<void> {
  let free = count;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}
