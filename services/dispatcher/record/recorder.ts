import { StoreOlderError } from '../../../shared/control/restored-store.ts';
import type { KafkaConsumer } from '../../../shared/kafka/kafka-client.ts';
import { runConsumer } from '../../../shared/kafka/run-consumer.ts';
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

/** Partitions whose fetched records are taken up side by side. */
const PARTITIONS_AT_ONCE = 4;

/** Partitions recorded side by side, as many as topics are declared with: those with few events share statements. */
const RECORDED_AT_ONCE = 12;

/** Pieces of a fetched batch between which the group hears from us, so that a long one does not look like a death. */
const MESSAGES_PER_STEP = 1_000;

/**
 * What a process may have read and not recorded, over all partitions. One by itself may take half of it: a transaction of some
 * 70,000 rows.
 */
const MAX_BACKLOG_BYTES = 128 * 1_024 * 1_024;

export interface RecorderDeps {
  readonly topic: string;
  readonly consumer: KafkaConsumer;
  /** What records one partition, for as long as nobody else reads it. */
  readonly createRecord: () => RecordBatch;
  readonly recordedChain: RecordedChain;
  readonly bounds: ReadBounds;
  readonly log: Log;
}

export interface Recorder extends Worker {
  /** The partitions that this process records. */
  ownPartitions(): ReadonlySet<number>;
  /** What was read and is not recorded. */
  backlogBytes(): number;
  /** As `PartitionRecorder` does it. */
  loseTail(partition: number, ...lost: Parameters<PartitionRecorder['loseTail']>): Promise<boolean>;
}

/**
 * Turns `tandem.changes` into the event log. Offsets follow the insert, so a crash between the two reads again what
 * is there already, and the insert passes over it. When the control store is away this waits for it and loses nothing.
 */
export function createRecorder(deps: RecorderDeps): Recorder {
  const { topic, consumer, recordedChain, bounds, log } = deps;
  const ready = Promise.withResolvers<void>();
  const turns = createFairReads(RECORDED_AT_ONCE);
  const partitions = new Map<number, PartitionRecorder>();
  let bytes = 0;
  let own: ReadonlySet<number> = new Set();
  /** Those of `own` that are read from where they are to be. */
  let positioned: ReadonlySet<number> = new Set();
  /** Of the partitions that the last join gave, once somebody asks. */
  let starts: Promise<ReadonlyMap<number, Start>> | undefined;
  let recorderOf: ((partition: number) => PartitionRecorder) | undefined;

  const isCurrent = (partition: number, recorder: PartitionRecorder) =>
    partitions.get(partition) === recorder;

  const readStarts = async (): Promise<ReadonlyMap<number, Start>> => {
    // Offsets are committed behind what is stored. So the store is asked second, and is behind only if it was restored.
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

      /** Goes back to what the store does not have. The offsets follow, because others take them for what is in the event log. */
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
      /** As much as is left free, so that a partition that has much to record leaves room for the others. */
      const hasRoom = (recorder: PartitionRecorder) =>
        recorder.bytes === 0 || recorder.bytes < MAX_BACKLOG_BYTES - bytes;
      const untilRoom = async (recorder: PartitionRecorder) => {
        while (!signal.aborted && !hasRoom(recorder)) await recorder.progressed();
      };

      /**
       * Whether a fetch that begins at `first` is to be taken up. One that is not is read again: it was asked for before the group was
       * joined anew inside a fetch of another broker, which kafkajs does without breaking off the others.
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
      // A fetch of nothing but aborted records and markers of transactions reaches no handler.
      consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
        const { partition, batchSize, firstOffset, lastOffset } = payload;
        if (batchSize > 0 || !own.has(partition)) return;
        // It ends in an error only with the process.
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
            // Somebody else's by now: to record it too would get ahead of them.
            if (!own.has(partition)) return;
            const recorder = ofPartition(partition);
            const first = batch.firstOffset() ?? batch.lastOffset();
            if (!(await follows(partition, recorder, first, heartbeat))) return;
            for (let from = 0; from < batch.messages.length; from += MESSAGES_PER_STEP) {
              if (!isRunning() || isStale() || signal.aborted || !isCurrent(partition, recorder)) return;
              if (!hasRoom(recorder)) {
                // The rest is fetched again then. To wait for it here would hold up all other partitions.
                void untilRoom(recorder).then(pause());
                return;
              }
              const step = batch.messages.slice(from, from + MESSAGES_PER_STEP);
              await keepTrying('reading changes', () => recorder.add(step), log, signal, heartbeat);
              // Joined again meanwhile: what was not recorded is read again, and must not be taken as read.
              if (!isCurrent(partition, recorder)) return;
              resolveOffset(step.at(-1)?.offset ?? '');
              await heartbeat();
            }
            // Behind the last change comes the marker that ended its transaction.
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
          // Also of those of which nothing comes, because it was read before or is lost.
          keepTrying('finding where to read on', position, log, signal).catch(() => undefined);
        },
      );
      await Promise.race([consuming, restored.promise]);
    },
  };
}

/** Where a partition is read on. */
interface Start {
  readonly offset: bigint;
  /** Before what the group committed. */
  readonly isBehind: boolean;
}

/** @param committed undefined, or below 0, when the group never committed any, or begins anew */
function startOf(committed: bigint | undefined, limit: bigint | undefined): Start {
  const offset = committed === undefined || committed < 0n ? 0n : committed;
  return limit !== undefined && limit < offset
    ? { offset: limit, isBehind: true }
    : { offset, isBehind: false };
}
