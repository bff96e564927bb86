import { randomBytes } from 'node:crypto';
import type {
  KafkaClient,
  TopicMessages,
  TransactionalProducer,
  TransactionRequest,
  WrittenRecords,
} from '../../../shared/kafka/kafka-client.ts';
import type { EncodedMessage, MessageCodec } from '../../../shared/kafka/messages.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import { CHAIN_HEADER, formatChainLink } from '../../../shared/protocol/headers.ts';
import {
  type Batch,
  type ChangeMessage,
  changeBytes,
  requestLimitBytes,
} from '../changes/collect-changes.ts';
import { type CaptureProgress, type ChainState, toCaptureState } from './capture-progress.ts';
import type { TableListing } from './table-records.ts';

export interface Publisher {
  /** Publishes a batch and the new state of the feed, atomically. Each change must fit into a request. */
  publish(batch: Batch, progress: CaptureProgress): Promise<void>;
}

export interface PublisherDeps {
  readonly producers: ProducerPool;
  readonly codec: MessageCodec;
  readonly topics: Topics;
  readonly slotName: string;
  readonly chain: ChangeChain;
  readonly tables: TableListing;
  /** `max.message.bytes` of the changes topic, which limits the records of one partition in one request. */
  readonly maxMessageBytes: number;
}

export function createPublisher({
  producers,
  codec,
  topics,
  slotName,
  chain,
  tables,
  maxMessageBytes,
}: PublisherDeps): Publisher {
  const limitBytes = requestLimitBytes(maxMessageBytes);
  return {
    async publish(batch, progress) {
      const changes = chain.link(batch.changes);
      const encodeState = () => {
        const said = toCaptureState(slotName, { ...progress, chain: chain.state() }, tables.offsets());
        return codec.encode('CaptureState', slotName, said);
      };
      const seals = await Promise.all(
        batch.seals.map(({ jobId, token, commitLsn }) =>
          codec.encode('FeedSealed', jobId, { job_id: jobId, token, commit_lsn: Number(commitLsn) }),
        ),
      );
      const requests = splitByBytes(changes, limitBytes).map((messages): TopicMessages[] => [
        { topic: topics.changes, messages },
      ]);
      const toCapture = (message: EncodedMessage) => ({
        topic: topics.capture,
        messages: [{ ...message, partition: 0 }],
      });
      const end = async () => [
        ...(seals.length > 0 ? [{ topic: topics.jobs, messages: seals }] : []),
        toCapture(await encodeState()),
      ];
      const changed = tables.changed(progress.tables, await codec.schemaId('CaptureTables'));
      if (changed.length === 0) {
        await producers.publish([...requests.slice(0, -1), [...(requests.at(-1) ?? []), ...(await end())]]);
        return;
      }
      const records = await Promise.all(
        changed.map(({ number, tables: said }) =>
          codec.encode('CaptureTables', `${slotName}/tables/${number}`, {
            slot: slotName,
            number,
            tables: [...said],
          }),
        ),
      );
      await producers.publish([
        ...requests,
        ...records.map((record) => [toCapture(record)]),
        (written) => {
          const own = written.filter(({ topicName }) => topicName === topics.capture);
          tables.written(
            changed,
            own.map(({ baseOffset, offset }) => Number(baseOffset ?? offset)),
          );
          return end();
        },
      ]);
    },
  };
}

/** Splits the changes, in order, into runs that fit into one request. Mostly there is one run. */
function splitByBytes(changes: readonly ChangeMessage[], limitBytes: number): ChangeMessage[][] {
  const runs: ChangeMessage[][] = [];
  let runBytes = 0;
  for (const change of changes) {
    const bytes = changeBytes(change);
    if (runs.length === 0 || runBytes + bytes > limitBytes) {
      runs.push([]);
      runBytes = 0;
    }
    runs.at(-1)?.push(change);
    runBytes += bytes;
  }
  return runs;
}

export interface ChangeChain {
  /** Numbers the changes. Number each change once, in the order in which they are sent. */
  link(changes: readonly ChangeMessage[]): ChangeMessage[];
  /** The state to publish in the same transaction. */
  state(): ChainState;
}

/** Continues a chain from its stored state, so that numbers of an uncommitted batch are used again. */
export function createChangeChain(stored: ChainState | undefined, nowMs: number): ChangeChain {
  const chain = stored?.id ?? `${nowMs.toString(36).padStart(9, '0')}${randomBytes(3).toString('hex')}`;
  const seqs = [...(stored?.seqs ?? [])];
  return {
    link: (changes) =>
      changes.map((change) => {
        const seq = (seqs[change.partition] ?? 0) + 1;
        seqs[change.partition] = seq;
        return { ...change, headers: { ...change.headers, [CHAIN_HEADER]: formatChainLink({ chain, seq }) } };
      }),
    state: () => ({ id: chain, seqs: Array.from(seqs, (seq) => seq ?? 0) }),
  };
}

/**
 * A pool of transactional producers that commits Kafka transactions one after the other. A broker refuses a producer's
 * next transaction until it has written the markers of the last one, some milliseconds after the commit's response. So
 * transactions rotate over several producers. Each begins only after the last commit's response, which keeps the order
 * in every partition: a reader waits at the first transaction without a marker.
 */
export interface ProducerPool {
  readonly count: number;
  /**
   * Sends the requests one after the other in one transaction, and resolves once it is committed. After an error the
   * outcome is unknown until the pool is opened again.
   *
   * @returns the offsets of the last request's records
   */
  publish(requests: readonly TransactionRequest[]): Promise<WrittenRecords[]>;
  close(): Promise<void>;
}

/** A transaction takes three round trips, so with three producers each one's markers are written before its next turn. */
const PRODUCER_COUNT = 3;

/** Connects the producers, which fences every earlier producer of the same IDs, and ends what those had open. */
export async function openProducerPool(
  kafka: Pick<KafkaClient, 'transactionalProducers'>,
  transactionalId: string,
): Promise<ProducerPool> {
  const ids = Array.from({ length: PRODUCER_COUNT }, (_, index) => `${transactionalId}.${index}`);
  const { producers, close } = await kafka.transactionalProducers(ids);
  let turn = 0;
  return {
    count: PRODUCER_COUNT,
    async publish(requests) {
      const producer = producers[turn % PRODUCER_COUNT] as TransactionalProducer;
      turn += 1;
      return producer.publish(requests);
    },
    close,
  };
}
