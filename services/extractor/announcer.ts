import type { Producer } from 'kafkajs';
import type { MessageCodec, Messages, MessageType } from '../../shared/kafka/messages.ts';
import type { Log } from '../../shared/runtime/log.ts';

/**
 * Tells other processes what they would find in the control store a second later anyway. Never waited for, and dropped
 * when Kafka is slow: a doorbell that blocks the work is worse than none.
 */
export interface Announcer {
  announce<T extends MessageType>(topic: string, type: T, key: string, value: Messages[T]): void;
}

const MAX_PENDING = 100;

export function createAnnouncer(producer: Producer, codec: MessageCodec, log: Log): Announcer {
  let pendingCount = 0;
  return {
    announce(topic, type, key, value) {
      if (pendingCount >= MAX_PENDING) return;
      pendingCount += 1;
      codec
        .encode(type, key, value)
        .then((message) => producer.send({ topic, messages: [message] }))
        .catch((error: unknown) => log.warn('announcement.dropped', { type, key, error }))
        .finally(() => {
          pendingCount -= 1;
        });
    },
  };
}
