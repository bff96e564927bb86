import { StoreOlderError } from '../../../shared/control/restored-store.ts';
import type { KafkaConsumer } from '../../../shared/kafka/kafka-client.ts';
import { GROUP_SETTINGS, runConsumer } from '../../../shared/kafka/run-consumer.ts';
import type { ChainLink } from '../../../shared/protocol/headers.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { keepTrying } from '../keep-trying.ts';
import { createFairReads } from '../store/fair-reads.ts';
import { createOffsetCommits, leaveAfterFlush } from './offset-commits.ts';
import { createPartitionRecorder, createReadChanges, type PartitionRecorder } from './partition-recorder.ts';
import type { ReadBounds } from './read-bounds.ts';
import type { RecordBatch } from './record-batch.ts';
import type { RecordedChain } from './recorded-chain.ts';

/** Partitions whose fetched records are processed in parallel. */
const PARTITIONS_AT_ONCE = 4;

/** Partitions recorded in parallel, as many as topics have by default. Those with few events share statements. */
const RECORDED_AT_ONCE = 12;

/** Messages between two heartbeats within a batch, so that the group does not take a long batch for a dead member. */
const MESSAGES_PER_STEP = 1_000;

/**
 * Limit of what a process has read and not recorded, over all partitions. One partition alone may use half of it: a
 * transaction of some 70,000 rows.
 */
const MAX_BACKLOG_BYTES = 128 * 1_024 * 1_024;

/**
 * The others learn by a heartbeat that a recorder stops, and its partitions wait for that. kafkajs sends heartbeats after the
 * response to a fetch, which on a quiet topic takes `maxWaitTimeInMs`. With this interval every such response brings one.
 */
export const RECORDER_GROUP_SETTINGS = { ...GROUP_SETTINGS, heartbeatInterval: 400 };

export interface RecorderDeps {
  readonly topic: string;
  readonly consumer: KafkaConsumer;
  /** Creates what records one partition, for as long as no other process reads it. */
  readonly createRecord: () => RecordBatch;
  readonly recordedChain: RecordedChain;
  readonly bounds: ReadBounds;
  readonly log: Log;
}

export interface Recorder extends Worker {
  /** The partitions that this process records. */
  ownPartitions(): ReadonlySet<number>;
  /** Bytes that are read and not recorded. */
  backlogBytes(): number;
  /** See `PartitionRecorder.loseTail`. */
  loseTail(partition: number, ...lost: Parameters<PartitionRecorder['loseTail']>): Promise<boolean>;
}

/**
 * Writes `tandem.changes` to the event log. Offsets are committed after the insert, so after a crash some events are
 * read again and skipped by the insert. While the control store is unavailable it waits, and loses nothing.
 */
export function createRecorder(deps: RecorderDeps): Recorder {
  const { topic, consumer, recordedChain, bounds, log } = deps;
  const ready = Promise.withResolvers<void>();
  const turns = createFairReads(RECORDED_AT_ONCE);
  const partitions = new Map<number, PartitionRecorder>();
  let bytes = 0;
  let own: ReadonlySet<number> = new Set();
  /** The partitions of `own` whose read position is checked and set. */
  let positioned: ReadonlySet<number> = new Set();
  /** The read positions of the partitions from the last join, once they were asked for. */
  let starts: Promise<ReadonlyMap<number, Start>> | undefined;
  let recorderOf: ((partition: number) => PartitionRecorder) | undefined;

  const isCurrent = (partition: number, recorder: PartitionRecorder) =>
    partitions.get(partition) === recorder;

  const readStarts = async (): Promise<ReadonlyMap<number, Start>> => {
    // Offsets are committed after the store is written. The store is read second, so it is behind them only after a
    // restore.
    const committed = await bounds.committed();
    const limits = await recordedChain.nextOffsets(own);
    return new Map(
      [...own].map((partition) => [partition, startOf(committed.get(partition), limits.get(partition))]),
    );
  };

  const findStarts = async (): Promise<ReadonlyMap<number, Start>> => {
    starts ??= readStarts();
    const asked = starts;
    try {
      return await asked;
    } catch (error) {
      if (starts === asked) starts = undefined;
      throw error;
    }
  };

  return {
    name: 'recorder',
    ready: ready.promise,
    ownPartitions: () => positioned,
    backlogBytes: () => bytes,
    async loseTail(partition, ...lost) {
      if (recorderOf === undefined || !positioned.has(partition)) return false;
      return recorderOf(partition).loseTail(...lost);
    },
    async run(signal) {
      await consumer.connect();
      await consumer.subscribe({ topics: [topic], fromBeginning: true });
      const restored = Promise.withResolvers<never>();
      const commits = createOffsetCommits(consumer, log, async () => {
        await recordedChain.begin(own);
        await recordedChain.save().catch((error: unknown) => {
          if (error instanceof StoreOlderError) restored.reject(error);
          throw error;
        });
      });

      /**
       * Seeks back to what the store lacks. The offsets are committed too, because others rely on them to tell what is
       * in the event log.
       */
      const position = async (): Promise<void> => {
        const partitions = own;
        const behind = [...(await findStarts())].filter(([, { isBehind }]) => isBehind);
        if (own !== partitions) return;
        for (const [partition, { offset }] of behind) {
          consumer.seek({ topic, partition, offset: offset.toString() });
        }
        if (behind.length > 0) {
          await consumer.commitOffsets(
            behind.map(([partition, { offset }]) => ({ topic, partition, offset: offset.toString() })),
          );
        }
        if (own === partitions) positioned = partitions;
      };

      const ofPartition = (partition: number): PartitionRecorder => {
        const known = partitions.get(partition);
        if (known !== undefined) return known;
        const lastRecorded = (): Promise<ChainLink | null> => recordedChain.last(partition);
        const made = createPartitionRecorder(
          {
            partition,
            read: createReadChanges(lastRecorded),
            record: deps.createRecord(),
            start: async () => (await findStarts()).get(partition)?.offset ?? 0n,
            earliest: async () => (await bounds.ends()).get(partition)?.low ?? 0n,
            inTurn: (work) => turns.run(String(partition), work),
            onRecorded({ offset, link }) {
              if (link !== undefined) recordedChain.note(partition, link, BigInt(offset) + 1n);
              commits.note(topic, partition, offset);
            },
            onBytes(change) {
              bytes += change;
            },
            log,
          },
          signal,
        );
        partitions.set(partition, made);
        return made;
      };
      recorderOf = ofPartition;
      /** Half of the free memory, so that a partition with much to record leaves room for others. */
      const hasRoom = (recorder: PartitionRecorder) =>
        recorder.bytes === 0 || recorder.bytes < MAX_BACKLOG_BYTES - bytes;
      const untilRoom = async (recorder: PartitionRecorder) => {
        while (!signal.aborted && !hasRoom(recorder)) await recorder.progressed();
      };

      /**
       * Whether a fetch that starts at `first` may be used. Otherwise it was requested before a rejoin, which happened
       * during another broker's fetch and which kafkajs does not abort the other fetches for. It is then read again
       * from the right offset.
       */
      const follows = async (
        partition: number,
        recorder: PartitionRecorder,
        first: string,
        heartbeat?: () => Promise<void>,
      ): Promise<boolean> => {
        const look = () => recorder.findBreak(first);
        const offset = await keepTrying('finding where to read on', look, log, signal, heartbeat);
        if (!isCurrent(partition, recorder)) return false;
        if (offset === undefined) return true;
        log.info('changes.read_again', { partition, fetchedFrom: first, readFrom: offset });
        consumer.seek({ topic, partition, offset });
        return false;
      };

      const passEmpty = async (partition: number, first: string, last: string): Promise<void> => {
        const recorder = ofPartition(partition);
        if (await follows(partition, recorder, first)) recorder.pass(last);
      };
      // A fetch with only aborted records and transaction markers reaches no handler.
      consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
        const { partition, batchSize, firstOffset, lastOffset } = payload;
        if (batchSize > 0 || !own.has(partition)) return;
        // It fails only when the process stops.
        passEmpty(partition, firstOffset ?? lastOffset, lastOffset).catch(() => undefined);
      });
      const consuming = runConsumer(
        consumer,
        {
          autoCommit: false,
          eachBatchAutoResolve: false,
          partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
          eachBatch: async ({ batch, resolveOffset, heartbeat, isRunning, isStale, pause }) => {
            const { partition } = batch;
            // Another member has the partition now. Recording it here too could overtake that member.
            if (!own.has(partition)) return;
            const recorder = ofPartition(partition);
            const first = batch.firstOffset() ?? batch.lastOffset();
            if (!(await follows(partition, recorder, first, heartbeat))) return;
            for (let from = 0; from < batch.messages.length; from += MESSAGES_PER_STEP) {
              if (!isRunning() || isStale() || signal.aborted || !isCurrent(partition, recorder)) return;
              if (!hasRoom(recorder)) {
                // The rest is fetched again after the pause. Waiting here would block all other partitions.
                void untilRoom(recorder).then(pause());
                return;
              }
              const step = batch.messages.slice(from, from + MESSAGES_PER_STEP);
              await keepTrying('reading changes', () => recorder.add(step), log, signal, heartbeat);
              // The group was joined again. What was not recorded is read again, so it must not count as read.
              if (!isCurrent(partition, recorder)) return;
              resolveOffset(step.at(-1)?.offset ?? '');
              await heartbeat();
            }
            // A transaction marker follows the last change.
            recorder.pass(batch.lastOffset());
          },
        },
        leaveAfterFlush(commits, signal),
        (assignment) => {
          own = new Set(assignment[topic]);
          positioned = new Set();
          starts = undefined;
          commits.forgetAll();
          for (const recorder of partitions.values()) recorder.abandon();
          partitions.clear();
          ready.resolve();
          // Also for partitions without new records, because theirs were read before or are lost.
          keepTrying('finding where to read on', position, log, signal).catch(() => undefined);
        },
      );
      await Promise.race([consuming, restored.promise]);
    },
  };
}

/** Where to continue reading a partition. */
interface Start {
  readonly offset: bigint;
  /** The position is before the group's committed offset. */
  readonly isBehind: boolean;
}

/** @param committed undefined or below 0 when the group has committed no offset or starts again */
function startOf(committed: bigint | undefined, limit: bigint | undefined): Start {
  const offset = committed === undefined || committed < 0n ? 0n : committed;
  return limit !== undefined && limit < offset
    ? { offset: limit, isBehind: true }
    : { offset, isBehind: false };
}
