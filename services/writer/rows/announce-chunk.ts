import { type Kafka, Partitioners } from 'kafkajs';
import type { MessageCodec } from '../../../shared/kafka/messages.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { ChunkTry } from './chunk-try.ts';

export interface ChunkAnnouncer {
  open(): Promise<void>;
  close(): Promise<void>;
  /** Tells `tandem.jobs` that a chunk is written. Progress only: the control store has it already, so a failure is logged and no more. */
  announce(chunkTry: ChunkTry, rowCount: number): Promise<void>;
}

export function createChunkAnnouncer(
  kafka: Kafka,
  codec: MessageCodec,
  jobsTopic: string,
  log: Log,
): ChunkAnnouncer {
  const producer = kafka.producer({
    allowAutoTopicCreation: false,
    createPartitioner: Partitioners.DefaultPartitioner,
    // Who waits for rows must not wait long for a notice.
    retry: { retries: 3 },
  });
  return {
    open: () => producer.connect(),
    close: () => producer.disconnect(),
    async announce({ exportId, resource, chunk, attempt }, rows) {
      const message = { job_id: exportId, resource, chunk, attempt, rows };
      try {
        await producer.send({
          topic: jobsTopic,
          messages: [await codec.encode('ChunkWritten', exportId, message)],
        });
      } catch (error) {
        log.warn('chunk.not_announced', { exportId, resource, chunk, error });
      }
    },
  };
}
