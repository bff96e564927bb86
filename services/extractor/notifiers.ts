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
  /** Calls `listen` when a chunk of the export is read, or the export may be over. Returns a function that removes the listener. */
  onChange(exportId: string, listen: () => void): () => void;
  /** Calls `listen` when the export may be over: cancelled, failed, or to be read in another way. */
  onInterruption(exportId: string, listen: () => void): () => void;
  notifyChange(exportId: string): void;
  notifyInterruption(exportId: string): void;
}

export function createNotifiers(): Notifiers {
  const changes = createListeners();
  const interruptions = createListeners();
  return {
    exports: createNotifier(),
    chunks: createNotifier(),
    onChange: changes.add,
    onInterruption: interruptions.add,
    notifyChange: changes.call,
    notifyInterruption(exportId) {
      changes.call(exportId);
      interruptions.call(exportId);
    },
  };
}

/** By export: with many small exports, each would otherwise ask the control store at every chunk of the others. */
function createListeners() {
  const byExport = new Map<string, Set<() => void>>();
  return {
    add(exportId: string, listen: () => void) {
      const listeners = byExport.get(exportId) ?? new Set();
      byExport.set(exportId, listeners);
      listeners.add(listen);
      return () => {
        listeners.delete(listen);
        if (listeners.size === 0 && byExport.get(exportId) === listeners) byExport.delete(exportId);
      };
    },
    call(exportId: string) {
      for (const listen of byExport.get(exportId) ?? []) listen();
    },
  };
}

interface CommandMessage {
  readonly key: Buffer | null;
  readonly headers?: { type?: unknown };
}

/**
 * Turns Kafka commands into notifications. Only their type header and their key, the export, are read. The group starts at the
 * end of the topic: the control store has everything that was missed.
 */
export function createCommandNotifiers(
  kafka: KafkaClient,
  groupId: string,
  topic: string,
  notifiers: Notifiers,
): Worker {
  const { promise: ready, resolve: markReady } = Promise.withResolvers<void>();
  const notify: Partial<Record<MessageType, (exportId: string) => void>> = {
    ExtractExport: notifiers.exports.notify,
    ExtractChunk: notifiers.chunks.notify,
    CancelJob(exportId) {
      notifiers.notifyInterruption(exportId);
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
        eachMessage: async ({ message }: { message: CommandMessage }) => {
          notify[readTypeHeader(message.headers) as MessageType]?.(String(message.key));
        },
      };
      await runConsumer(consumer, config, signal, () => markReady());
    },
  };
}
