import type { Log } from '../runtime/log.ts';
import type { KafkaProducer } from './kafka-client.ts';
import type { EncodedMessage, MessageCodec, Messages, MessageType } from './messages.ts';

/**
 * Notifies other processes of what they would find in the control store a second later anyway. Never waited for, and dropped
 * when Kafka is slow: a notifier that blocks the work is worse than none.
 */
export interface Announcer {
  announce<T extends MessageType>(topic: string, type: T, key: string, value: Messages[T]): void;
}

const MAX_PENDING = 2_000;

/** While one request is on its way the next gathers: what is announced a hundred times a second costs a few requests. */
export function createAnnouncer(
  producer: Pick<KafkaProducer, 'sendBatch'>,
  codec: Pick<MessageCodec, 'encode'>,
  log: Log,
): Announcer {
  let waiting: { readonly topic: string; readonly encoded: Promise<EncodedMessage> }[] = [];
  let isSending = false;

  async function send(): Promise<void> {
    while (waiting.length > 0) {
      const sent = waiting;
      waiting = [];
      try {
        const messages = await Promise.all(
          sent.map(async ({ topic, encoded }) => ({ topic, message: await encoded })),
        );
        const byTopic = Map.groupBy(messages, ({ topic }) => topic);
        await producer.sendBatch({
          topicMessages: [...byTopic].map(([topic, of]) => ({
            topic,
            messages: of.map(({ message }) => message),
          })),
        });
      } catch (error) {
        log.warn('announcements.dropped', { count: sent.length, error });
      }
    }
  }

  return {
    announce(topic, type, key, value) {
      if (waiting.length >= MAX_PENDING) return;
      const encoded = codec.encode(type, key, value);
      // Awaited in its turn; until then nobody listens for its failure.
      encoded.catch(() => undefined);
      waiting.push({ topic, encoded });
      if (isSending) return;
      isSending = true;
      send().finally(() => {
        isSending = false;
      });
    },
  };
}
