import type { Kafka } from 'kafkajs';
import type { MessageType } from '../../shared/kafka/messages.ts';
import { GROUP_SETTINGS, runConsumer } from '../../shared/kafka/run-consumer.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import type { Bells } from './bells.ts';

/**
 * Rings for commands. They are doorbells only, so the type in the header is all that is read of them, offsets just move on,
 * and the group begins at the end: what was missed stands in the control store.
 */
export function createCommandBells(kafka: Kafka, groupId: string, topic: string, bells: Bells): Worker {
  const { promise: ready, resolve: markReady } = Promise.withResolvers<void>();
  const ring: Partial<Record<MessageType, () => void>> = {
    ExtractExport: bells.exports.ring,
    ExtractChunk: bells.chunks.ring,
    CancelJob: () => {
      bells.ringChange();
      bells.exports.ring();
    },
  };
  return {
    name: 'command-bells',
    ready,
    async run(signal) {
      const consumer = kafka.consumer({ groupId, ...GROUP_SETTINGS });
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: false });
      const config = {
        eachMessage: async ({ message }: { message: { headers?: { type?: unknown } } }) => {
          ring[String(message.headers?.type) as MessageType]?.();
        },
      };
      await runConsumer(consumer, config, signal, () => markReady());
    },
  };
}
