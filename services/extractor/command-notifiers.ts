import type { Kafka } from 'kafkajs';
import type { MessageType } from '../../shared/kafka/messages.ts';
import { GROUP_SETTINGS, runConsumer } from '../../shared/kafka/run-consumer.ts';
import { readTypeHeader } from '../../shared/protocol/headers.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import type { Notifiers } from './notifiers.ts';

/**
 * Turns Kafka commands into notifications. Only their type header is read, and the group starts at the end of the
 * topic: the control store has everything that was missed.
 */
export function createCommandNotifiers(
  kafka: Kafka,
  groupId: string,
  topic: string,
  notifiers: Notifiers,
): Worker {
  const { promise: ready, resolve: markReady } = Promise.withResolvers<void>();
  const notify: Partial<Record<MessageType, () => void>> = {
    ExtractExport: notifiers.exports.notify,
    ExtractChunk: notifiers.chunks.notify,
    CancelJob: () => {
      notifiers.notifyChange();
      notifiers.exports.notify();
    },
  };
  return {
    name: 'command-notifiers',
    ready,
    async run(signal) {
      const consumer = kafka.consumer({ groupId, ...GROUP_SETTINGS });
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: false });
      const config = {
        eachMessage: async ({ message }: { message: { headers?: { type?: unknown } } }) => {
          notify[readTypeHeader(message.headers) as MessageType]?.();
        },
      };
      await runConsumer(consumer, config, signal, () => markReady());
    },
  };
}
