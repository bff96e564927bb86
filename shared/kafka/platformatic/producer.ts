import type { BaseOptions, Producer } from '@platformatic/kafka';
import {
  type KafkaProducer,
  type OutgoingMessage,
  type ProducerSettings,
  type TopicMessages,
  TRANSACTION_TIMEOUT_MS,
  type TransactionalProducer,
  type TransactionalProducers,
  type WrittenRecords,
} from '../kafka-client.ts';
import { told } from './errors.ts';
import { loadPlatformatic, type Platformatic } from './load.ts';

/** Kafka's number for every in-sync replica. */
const ALL_IN_SYNC = -1;

type PackageMessage = Parameters<Producer<Buffer, Buffer, Buffer, Buffer>['send']>[0]['messages'][number];
type PackageProducer = Producer<Buffer, Buffer, Buffer, Buffer>;

/**
 * One send is under way at a time. Of two at once, a cut connection may bring the second one first: the package then takes a
 * new producer ID while the other is still under way, which ends their order, and may store records twice.
 */
export function createProducer(
  options: BaseOptions,
  { idempotent = false }: Pick<ProducerSettings, 'idempotent'>,
): KafkaProducer {
  let producer: PackageProducer | undefined;
  let last: Promise<unknown> = Promise.resolve();

  const sendNow = async (batch: readonly TopicMessages[]): Promise<WrittenRecords[]> => {
    if (producer === undefined) throw new Error('the producer is not connected');
    const sending = producer;
    const messages = toMessages(batch);
    return told(async () => toWritten(await sending.send({ messages, acks: ALL_IN_SYNC })));
  };
  const send = (batch: readonly TopicMessages[]): Promise<WrittenRecords[]> => {
    const sent = last.then(() => sendNow(batch));
    last = sent.catch(() => undefined);
    return sent;
  };

  return {
    async connect() {
      if (producer !== undefined) return;
      const library = await loadPlatformatic();
      const made: PackageProducer = new library.Producer({
        ...options,
        idempotent,
        partitioner: (_, key) => library.compatibilityPartitioner(undefined as never, key),
      });
      try {
        await told(() => made.metadata({ topics: [] }));
      } catch (error) {
        await made.close().catch(() => undefined);
        throw error;
      }
      producer = made;
    },
    async disconnect() {
      const closing = producer;
      producer = undefined;
      await last;
      await closing?.close();
    },
    send: (record) => send([record]),
    sendBatch: ({ topicMessages }) => send(topicMessages),
  };
}

/** Brokers take newer versions of this request from brokers alone, and refuse a user who may not act as one. */
const CLIENT_VERSIONS = { name: 'AddPartitionsToTxn', newest: 3 };

export async function openTransactionalProducers(
  options: BaseOptions,
  transactionalIds: readonly string[],
): Promise<TransactionalProducers> {
  const library = await loadPlatformatic();
  const made = transactionalIds.map((id) => makeTransactional(library, options, id));
  const close = async () => {
    await Promise.allSettled(made.map((producer) => producer.close()));
  };
  try {
    const producers: TransactionalProducer[] = [];
    for (const producer of made) producers.push(await openTransactional(producer));
    return { producers, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function makeTransactional(library: Platformatic, options: BaseOptions, transactionalId: string) {
  const producer: PackageProducer = new library.Producer({
    ...options,
    timeout: TRANSACTION_TIMEOUT_MS,
    transactionalId,
    idempotent: true,
    // "None": with the package's own default of 0 a broker takes every later instance for a fenced one.
    producerId: -1n,
    producerEpoch: -1,
    partitioner: (_, key) => library.compatibilityPartitioner(undefined as never, key),
  });
  const listApis = producer[library.kListApis].bind(producer);
  producer[library.kListApis] = (callback) =>
    listApis((error, apis) => {
      const { name, newest } = CLIENT_VERSIONS;
      callback(
        error,
        apis?.map((api) =>
          api.name === name ? { ...api, maxVersion: Math.min(api.maxVersion, newest) } : api,
        ),
      );
    });
  return producer;
}

/** The first transaction is begun at once: that is what takes hold of the transactional ID. */
async function openTransactional(producer: PackageProducer): Promise<TransactionalProducer> {
  let begun: Awaited<ReturnType<PackageProducer['beginTransaction']>> | undefined = await told(() =>
    producer.beginTransaction({}),
  );
  return {
    async publish(requests) {
      const transaction = begun ?? (await told(() => producer.beginTransaction({})));
      begun = undefined;
      const written: WrittenRecords[] = [];
      let last: WrittenRecords[] = [];
      try {
        for (const request of requests) {
          // What the caller's function throws is no failure of Kafka.
          const batch = typeof request === 'function' ? await request(written) : request;
          const messages = toMessages(batch);
          last = await told(async () => toWritten(await transaction.send({ messages, acks: ALL_IN_SYNC })));
          written.push(...last);
        }
      } catch (error) {
        await transaction.abort().catch(() => undefined);
        throw error;
      }
      await told(() => transaction.commit());
      return last;
    },
  };
}

function toMessages(batch: readonly TopicMessages[]): PackageMessage[] {
  return batch.flatMap(({ topic, messages }) => messages.map((message) => toMessage(topic, message)));
}

function toMessage(topic: string, { key, value, partition, headers }: OutgoingMessage): PackageMessage {
  const message: PackageMessage = { topic, value: toBuffer(value) as Buffer };
  if (key !== undefined && key !== null) message.key = toBuffer(key) as Buffer;
  if (partition !== undefined) message.partition = partition;
  if (headers !== undefined) message.headers = toHeaderMap(headers);
  return message;
}

function toBuffer(value: Buffer | string | null): Buffer | null {
  return typeof value === 'string' ? Buffer.from(value) : value;
}

function toHeaderMap(headers: NonNullable<OutgoingMessage['headers']>): Map<Buffer, Buffer> {
  return new Map(
    Object.entries(headers).flatMap(([name, values]) =>
      (Array.isArray(values) ? values : [values]).flatMap((value) =>
        value === undefined ? [] : [[Buffer.from(name), toBuffer(value) as Buffer] as const],
      ),
    ),
  );
}

function toWritten(result: Awaited<ReturnType<PackageProducer['send']>>): WrittenRecords[] {
  return (result.offsets ?? []).map(({ topic, partition, offset }) => ({
    topicName: topic,
    partition,
    errorCode: 0,
    baseOffset: String(offset),
  }));
}
