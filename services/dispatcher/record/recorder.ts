import type { Consumer } from 'kafkajs';
import { runConsumer } from '../../../shared/kafka/run-consumer.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { keepTrying } from '../keep-trying.ts';
import { createOffsetCommits, leaveAfterFlush } from './offset-commits.ts';
import type { ChangeMessage, RecordBatch } from './record-batch.ts';

/** Partitions recorded side by side; each is one statement at a time. */
const PARTITIONS_AT_ONCE = 4;

/** Pieces of a fetched batch between which the group hears from us, so that a long one does not look like a death. */
const MESSAGES_PER_STEP = 1_000;

/**
 * Turns `tandem.changes` into the event log. Offsets follow the insert, so a crash between the two reads again what
 * is there already, and the insert passes over it. When the control store is away this waits for it and loses nothing.
 * `saveChain` stores how far everything recorded so far goes. `onJoin` is called before anything is read after others may have read the same partitions.
 */
export function createRecorder(
  topic: string,
  consumer: Consumer,
  record: RecordBatch,
  saveChain: () => Promise<void>,
  onJoin: () => void,
  log: Log,
): Worker {
  const ready = Promise.withResolvers<void>();
  return {
    name: 'recorder',
    ready: ready.promise,
    async run(signal) {
      await consumer.connect();
      await consumer.subscribe({ topics: [topic], fromBeginning: true });
      const commits = createOffsetCommits(consumer, log, saveChain);
      // A fetch of nothing but aborted records and markers of transactions reaches no handler; all before it is recorded.
      consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
        if (payload.batchSize === 0) commits.note(payload.topic, payload.partition, payload.lastOffset);
      });
      await runConsumer(
        consumer,
        {
          autoCommit: false,
          eachBatchAutoResolve: false,
          partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
          eachBatch: async ({ batch, resolveOffset, heartbeat, isRunning, isStale }) => {
            const messages: readonly ChangeMessage[] = batch.messages;
            for (let from = 0; from < messages.length; from += MESSAGES_PER_STEP) {
              if (!isRunning() || isStale() || signal.aborted) return;
              const step = messages.slice(from, from + MESSAGES_PER_STEP);
              const recordStep = () =>
                record(batch.partition, step, async (offset) => {
                  resolveOffset(offset);
                  commits.note(batch.topic, batch.partition, offset);
                });
              await keepTrying('recording changes', recordStep, log, signal, heartbeat);
              await heartbeat();
            }
            // Behind the last change comes the marker that ended its transaction.
            commits.note(batch.topic, batch.partition, batch.lastOffset());
          },
        },
        leaveAfterFlush(commits, signal),
        () => {
          commits.forgetAll();
          onJoin();
          ready.resolve();
        },
      );
    },
  };
}
