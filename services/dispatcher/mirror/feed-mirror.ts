import {
  checkNotRestored,
  formatStoreMark,
  laterMark,
  parseStoreMark,
  type StoreMark,
  StoreOlderError,
} from '../../../shared/control/restored-store.ts';
import { createTableRecords } from '../../../shared/kafka/capture-tables.ts';
import type { KafkaAdmin, KafkaClient, KafkaConsumer } from '../../../shared/kafka/kafka-client.ts';
import type { CaptureStateMessage, MessageCodec } from '../../../shared/kafka/messages.ts';
import { runConsumer } from '../../../shared/kafka/run-consumer.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { readTypeHeader } from '../../../shared/protocol/headers.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { keepTrying } from '../keep-trying.ts';
import { createOffsetCommits, leaveAfterFlush } from '../record/offset-commits.ts';
import { createCatalogStore, createSetAsideStore, sealExport, storeFeedState } from './store-feed.ts';

/**
 * Capture publishes its state with every Kafka transaction, hundreds per second. Nobody reads it that often, and each
 * store is a commit that delays the inserts of events.
 */
const STORE_INTERVAL_MS = 20;

/**
 * Copies the state of the feed from Kafka into the control store, where extractors, writers and the api read it.
 * Repeated messages change nothing.
 *
 * @param findMark `findStoreMark`, called at any time
 */
export function createFeedMirror(
  topics: { readonly capture: string; readonly jobs: string },
  kafka: Pick<KafkaClient, 'readRecords'>,
  consumer: KafkaConsumer,
  codec: Pick<MessageCodec, 'decode'>,
  db: Queryable,
  findMark: () => Promise<StoreMark | undefined>,
  log: Log,
): Worker {
  const ready = Promise.withResolvers<void>();
  /** A seal ends the wait early, because the holder of its export waits for the state that capture published with it. */
  const pauses = new Set<AbortController>();
  const rest = async () => {
    const pause = new AbortController();
    pauses.add(pause);
    await sleep(STORE_INTERVAL_MS, pause.signal);
    pauses.delete(pause);
  };
  const createStores = () => ({ setAsides: createSetAsideStore(db), catalog: createCatalogStore(db) });
  /** Created again at each join: while others had the partition they may have stored something else. */
  let stores = createStores();
  const tableRecords = createTableRecords(kafka, codec, topics.capture);
  /** The latest state known to be in the control store. */
  let mark: StoreMark | undefined;
  /** Checks once after each join that the control store is not older than `mark`. */
  let checked: Promise<void> | undefined;
  const check = async (): Promise<void> => {
    mark = laterMark(mark, await findMark());
    if (mark !== undefined) await checkNotRestored(db, mark);
  };
  return {
    name: 'feed-mirror',
    ready: ready.promise,
    async run(signal) {
      await consumer.connect();
      await consumer.subscribe({ topics: [topics.capture, topics.jobs], fromBeginning: true });
      const commits = createOffsetCommits(consumer, log);
      const restored = Promise.withResolvers<never>();
      const orEnd = (error: unknown): never => {
        if (error instanceof StoreOlderError) restored.reject(error);
        throw error;
      };
      /**
       * Runs before the first write after a join. The previous member may have left because the store is older than it
       * was. Writing to it now would hide that from the next start, which corrects the store.
       */
      const checkStore = (): Promise<void> => {
        checked ??= check();
        const asked = checked;
        return asked.catch((error: unknown) => {
          if (checked === asked) checked = undefined;
          return orEnd(error);
        });
      };
      const consuming = runConsumer(
        consumer,
        {
          // Offsets are committed in the background. A commit after each batch would double the writes to the broker.
          autoCommit: false,
          partitionsConsumedConcurrently: 2,
          eachBatch: async ({ batch, heartbeat }) => {
            // Positions only grow, so the last of several states in a batch is enough.
            const { setAsides, catalog } = stores;
            await keepTrying('checking the control store', checkStore, log, signal, heartbeat);
            let latest: (CaptureStateMessage & { at: number }) | undefined;
            for (const message of batch.messages) {
              const type = readTypeHeader(message.headers);
              if (type !== 'CaptureState' && type !== 'CaptureTables' && type !== 'FeedSealed') continue;
              const decode = () => codec.decode(message);
              const decoded = await keepTrying('decoding the feed state', decode, log, signal, heartbeat);
              if (decoded?.type === 'CaptureTables') tableRecords.add(message, decoded.value);
              if (decoded?.type === 'CaptureState') {
                latest = decoded.value;
                const store = () => setAsides(decoded.value);
                await keepTrying('storing what is set aside', store, log, signal, heartbeat);
                const say = async () => catalog(decoded.value, await tableRecords.of(decoded.value));
                await keepTrying('storing the catalog of the feed', say, log, signal, heartbeat);
              }
              if (decoded?.type === 'FeedSealed') {
                const { value } = decoded;
                await keepTrying('sealing an export', () => sealExport(db, value), log, signal, heartbeat);
                for (const pause of pauses) pause.abort();
              }
            }
            if (latest !== undefined) {
              const state = latest;
              const store = () => storeFeedState(db, state, mark).catch(orEnd);
              mark = (await keepTrying('storing the feed state', store, log, signal, heartbeat)) ?? mark;
              await rest();
            }
            if (batch.topic !== topics.capture) {
              commits.note(batch.topic, batch.partition, batch.lastOffset());
            } else if (mark !== undefined) {
              // Each committed offset carries the state of the store; see `findStoreMark`.
              commits.note(batch.topic, batch.partition, batch.lastOffset(), formatStoreMark(mark));
            }
          },
        },
        leaveAfterFlush(commits, signal),
        () => {
          commits.forgetAll();
          stores = createStores();
          checked = undefined;
          ready.resolve();
        },
      );
      await Promise.race([consuming, restored.promise]);
    },
  };
}

/**
 * How current the control store was, from the metadata of the mirror group's offset in Kafka. Shows that a store was
 * restored from a backup. The offset is committed after the state is stored.
 *
 * @returns undefined when unknown: the group is new, or has been away longer than Kafka keeps offsets
 */
export async function findStoreMark(
  admin: Pick<KafkaAdmin, 'fetchOffsets'>,
  groupId: string,
  captureTopic: string,
): Promise<StoreMark | undefined> {
  const [topic] = await admin.fetchOffsets({ groupId, topics: [captureTopic] });
  return parseStoreMark(topic?.partitions[0]?.metadata);
}
