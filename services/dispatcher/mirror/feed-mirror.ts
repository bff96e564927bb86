import {
  checkNotRestored,
  formatStoreMark,
  laterMark,
  parseStoreMark,
  type StoreMark,
  StoreOlderError,
} from '../../../shared/control/restored-store.ts';
import type { KafkaAdmin, KafkaConsumer } from '../../../shared/kafka/kafka-client.ts';
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
 * Capture tells its state with every Kafka transaction, hundreds a second. So often nobody looks, and each store is a
 * commit that the inserting of events would wait behind.
 */
const STORE_INTERVAL_MS = 20;

/**
 * Copies how far the feed has come from Kafka into the control store, where extractors, writers and the api look.
 * A message that comes again changes nothing.
 *
 * @param findMark `findStoreMark`, at any time
 */
export function createFeedMirror(
  topics: { readonly capture: string; readonly jobs: string },
  consumer: KafkaConsumer,
  codec: Pick<MessageCodec, 'decode'>,
  db: Queryable,
  findMark: () => Promise<StoreMark | undefined>,
  log: Log,
): Worker {
  const ready = Promise.withResolvers<void>();
  const createStores = () => ({ setAsides: createSetAsideStore(db), catalog: createCatalogStore(db) });
  /** Since the last join: before it others may have stored something else than what these stored last. */
  let stores = createStores();
  /** What the store is known to have said. */
  let mark: StoreMark | undefined;
  /** Since the last join, once somebody asks: whether the store has all that it is known to have said. */
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
       * Comes before the first write after a join. Whoever had the partitions before may have left because the store is behind:
       * what is written there now would hide that from the next start, which corrects it.
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
          // Committed beside the work: a commit after each batch would be one more write to the broker for each of ours.
          autoCommit: false,
          partitionsConsumedConcurrently: 2,
          eachBatch: async ({ batch, heartbeat }) => {
            // Positions only grow, so of several states in a batch the last says it all.
            const { setAsides, catalog } = stores;
            await keepTrying('checking the control store', checkStore, log, signal, heartbeat);
            let latest: (CaptureStateMessage & { at: number }) | undefined;
            for (const message of batch.messages) {
              const type = readTypeHeader(message.headers);
              if (type !== 'CaptureState' && type !== 'FeedSealed') continue;
              const decode = () => codec.decode(message);
              const decoded = await keepTrying('decoding the feed state', decode, log, signal, heartbeat);
              if (decoded?.type === 'CaptureState') {
                latest = decoded.value;
                const store = () => setAsides(decoded.value);
                await keepTrying('storing what is set aside', store, log, signal, heartbeat);
                const say = () => catalog(decoded.value);
                await keepTrying('storing the catalog of the feed', say, log, signal, heartbeat);
              }
              if (decoded?.type === 'FeedSealed') {
                const { value } = decoded;
                await keepTrying('sealing an export', () => sealExport(db, value), log, signal, heartbeat);
              }
            }
            if (latest !== undefined) {
              const state = latest;
              const store = () => storeFeedState(db, state, mark).catch(orEnd);
              mark = (await keepTrying('storing the feed state', store, log, signal, heartbeat)) ?? mark;
              await sleep(STORE_INTERVAL_MS, signal);
            }
            if (batch.topic !== topics.capture) {
              commits.note(batch.topic, batch.partition, batch.lastOffset());
            } else if (mark !== undefined) {
              // With every offset of this topic goes how far the store has come: see `findStoreMark`.
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
 * How far the control store has come, as the mirror's group keeps it in Kafka with its offset, so that a store that was restored
 * from a backup is known by it. The offset is committed behind what is stored.
 *
 * @returns undefined when it is not known: the group is new, or has been away for longer than Kafka keeps its offsets
 */
export async function findStoreMark(
  admin: Pick<KafkaAdmin, 'fetchOffsets'>,
  groupId: string,
  captureTopic: string,
): Promise<StoreMark | undefined> {
  const [topic] = await admin.fetchOffsets({ groupId, topics: [captureTopic] });
  return parseStoreMark(topic?.partitions[0]?.metadata);
}
