import {
  type BatchPayload,
  isKafkaError,
  type KafkaClient,
  type KafkaConsumer,
} from '../../../shared/kafka/kafka-client.ts';
import { GROUP_SETTINGS, runConsumer } from '../../../shared/kafka/run-consumer.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import { createGather } from '../../../shared/runtime/gather.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { BatchWriter } from './batch-writer.ts';
import type { PartitionState, PartitionStates } from './partition-states.ts';

// Memory holds a whole fetch and its decoded batches; these limits bound both at a few times 4 MB. Larger fetches are no
// faster.
const MAX_FETCH_BYTES = 4 * 1024 * 1024;
const MAX_PARTITION_BYTES = 1024 * 1024;
/**
 * While one batch waits for a sync or the control store, others are decoded. With many small chunks, such waits take most of
 * the time. Each batch may hold a part's buffer.
 */
const CONCURRENT_PARTITIONS = 12;

export interface RowConsumerDeps {
  readonly kafka: KafkaClient;
  readonly groupId: string;
  readonly topics: Topics;
  readonly resources: readonly string[];
  readonly partitionStates: PartitionStates;
  readonly writer: BatchWriter;
  readonly log: Log;
}

interface BatchOffset extends Pick<BatchPayload, 'commitOffsetsIfNecessary'> {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
}

export interface RowConsumer extends Worker {
  /** Commits a partition's floor outside of a batch. Does nothing while the group rebalances. */
  commitFloor(partitionState: PartitionState): Promise<void>;
}

/**
 * Reads every rows topic and commits only offsets of durable rows. Several writers share the partitions.
 *
 * At each join of the group every open chunk is dropped and read again from the committed offset: between two joins another
 * member may have owned the partition, finished the chunk, and advanced the offset.
 */
export function createRowConsumer(deps: RowConsumerDeps): RowConsumer {
  const { kafka, groupId, topics, resources, partitionStates, writer, log } = deps;
  const resourceByTopic = new Map(resources.map((resource) => [topics.rows(resource), resource]));
  const joined = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  // The failure is also what `run` throws.
  failed.promise.catch(() => undefined);
  const consumer: KafkaConsumer = kafka.consumer({
    groupId,
    ...GROUP_SETTINGS,
    maxBytes: MAX_FETCH_BYTES,
    maxBytesPerPartition: MAX_PARTITION_BYTES,
  });

  /** Combines the commits of batches that end at the same time. */
  const commitOffset = createGather(async (offsets: readonly BatchOffset[]) => {
    const byTopic = Map.groupBy(offsets, ({ topic }) => topic);
    // All batches belong to one member. A commit outside of a batch would be retried even while the group rebalances.
    await offsets[0]?.commitOffsetsIfNecessary({
      topics: [...byTopic].map(([topic, of]) => ({
        topic,
        partitions: of.map(({ partition, offset }) => ({ partition, offset })),
      })),
    });
    return offsets;
  });

  async function eachBatch({ batch, heartbeat, isRunning, commitOffsetsIfNecessary }: BatchPayload) {
    const { topic, partition } = batch;
    const partitionState = partitionStates.of(topic, partition, resourceByTopic.get(topic) ?? topic);
    await partitionState.exclusive(async () => {
      if (!(await writer.write(partitionState, batch.messages, { heartbeat, isRunning }))) return;
      partitionState.chunks.advanceTo(BigInt(batch.lastOffset()) + 1n);
      const floor = partitionState.chunks.floor();
      if (floor <= partitionState.committed) return;
      await commitOffset({ topic, partition, offset: String(floor), commitOffsetsIfNecessary });
      partitionState.committed = floor;
    });
  }

  return {
    name: 'row-consumer',
    ready: Promise.race([joined.promise, failed.promise]),

    async commitFloor(partitionState) {
      const { topic, partition } = partitionState;
      const floor = partitionState.chunks.floor();
      if (floor <= partitionState.committed) return;
      try {
        await consumer.commitOffsets([{ topic, partition, offset: String(floor) }]);
        partitionState.committed = floor;
      } catch (error) {
        log.debug('offset.not_committed', { topic, partition, error });
      }
    },

    async run(signal) {
      await consumer.connect();
      await consumer.subscribe({ topics: [...resourceByTopic.keys()], fromBeginning: true });
      const consuming = runConsumer(
        consumer,
        {
          autoCommit: false,
          partitionsConsumedConcurrently: CONCURRENT_PARTITIONS,
          eachBatch: (payload) => eachBatch(payload).catch((error: unknown) => rethrow(error, failed.reject)),
        },
        signal,
        (assignment) => {
          log.info('partitions.assigned', { assignment });
          partitionStates.clear();
          joined.resolve();
        },
      );
      try {
        await Promise.race([consuming, failed.promise]);
      } finally {
        await consumer.disconnect();
        await partitionStates.clear();
      }
    },
  };
}

/**
 * After its own errors the client joins again. After any other it would repeat the batch for ever, so the worker ends
 * instead.
 */
function rethrow(error: unknown, fail: (error: unknown) => void): never {
  if (!isKafkaError(error)) fail(error);
  throw error;
}
