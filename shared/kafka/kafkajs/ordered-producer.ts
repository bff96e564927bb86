import type { Producer } from 'kafkajs';
import { KafkaError, type KafkaProducer, type WrittenRecords } from '../kafka-client.ts';

/**
 * kafkajs's idempotent producer with one send at a time, and a new one after a send that failed.
 *
 * kafkajs takes a request's sequence numbers back when its answer is lost. When another send gets hold of them before the
 * retry does, the broker takes its records for those that it has, and acknowledges them without storing them. So does the next
 * send after one that failed for good.
 */
export function createOrderedProducer(create: () => Producer): KafkaProducer {
  let producer: Producer | undefined;
  let isOpen = false;
  let last: Promise<unknown> = Promise.resolve();

  const connected = async (): Promise<Producer> => {
    if (producer !== undefined) return producer;
    const made = create();
    await made.connect();
    producer = made;
    return made;
  };

  const inTurn = (work: (sending: Producer) => Promise<WrittenRecords[]>): Promise<WrittenRecords[]> => {
    const sent = last.then(async () => {
      if (!isOpen) throw new KafkaError('the producer is not connected');
      const sending = await connected();
      try {
        return await work(sending);
      } catch (error) {
        producer = undefined;
        await sending.disconnect().catch(() => undefined);
        throw error;
      }
    });
    last = sent.catch(() => undefined);
    return sent;
  };

  return {
    async connect() {
      await connected();
      isOpen = true;
    },
    async disconnect() {
      isOpen = false;
      await last;
      const closing = producer;
      producer = undefined;
      await closing?.disconnect();
    },
    send: (record) => inTurn((sending) => sending.send(record)),
    sendBatch: (batch) => inTurn((sending) => sending.sendBatch(batch)),
  };
}
