import type { KafkaClient } from '../../shared/kafka/kafka-client.ts';
import type { MessageType } from '../../shared/kafka/messages.ts';
import { GROUP_SETTINGS, runConsumer } from '../../shared/kafka/run-consumer.ts';
import { readTypeHeader } from '../../shared/protocol/headers.ts';
import { createNotifier, type Notifier } from '../../shared/runtime/notifier.ts';
import type { Worker } from '../../shared/runtime/worker.ts';

/** Notifications inside one process. A missed one only delays the next poll. */
export interface Notifiers {
  /** An export is waiting. */
  readonly exports: Notifier;
  /** A chunk is waiting. */
  readonly chunks: Notifier;
  /** Calls `listen` at each change of a running export. Returns a function that removes the listener. */
  onChange(listen: () => void): () => void;
  notifyChange(): void;
}

export function createNotifiers(): Notifiers {
  const listeners = new Set<() => void>();
  return {
    exports: createNotifier(),
    chunks: createNotifier(),
    onChange(listen) {
      listeners.add(listen);
      return () => listeners.delete(listen);
    },
    notifyChange() {
      for (const listen of listeners) listen();
    },
  };
}

/**
 * Turns Kafka commands into notifications. Only their type header is read, and the group starts at the end of the
 * topic: the control store has everything that was missed.
 */
export function createCommandNotifiers(
  kafka: KafkaClient,
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
