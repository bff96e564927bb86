import type { ConnectionPool, Consumer } from '@platformatic/kafka';
import type { Log } from '../../runtime/log.ts';
import { createNotifier } from '../../runtime/notifier.ts';
import { backoffMs } from '../../runtime/retry.ts';
import { sleep } from '../../runtime/sleep.ts';
import type { ConsumerSettings } from '../kafka-client.ts';
import { type CommittedRecords, readCommitted } from './read-batches.ts';

export type PackageConsumer = Consumer<Buffer, Buffer, Buffer, Buffer>;

/** Where a partition of this member is read on. */
export interface Position {
  readonly topic: string;
  readonly partition: number;
  next: bigint;
  /** How often it was sought: what was asked for before is not wanted. */
  seeks: number;
  isPaused: boolean;
}

export interface FetchingDeps {
  readonly consumer: PackageConsumer;
  /** Apart from that of the group's requests, which a waiting fetch would hold up. */
  readonly pool: ConnectionPool;
  readonly settings: Pick<ConsumerSettings, 'maxBytes' | 'maxBytesPerPartition' | 'maxWaitTimeInMs'>;
  readonly positions: readonly Position[];
  /** Never rejects. */
  readonly handle: (position: Position, records: CommittedRecords, from: bigint) => Promise<void>;
  /** For positions whose record is gone. */
  readonly resetPositions: (lost: readonly Position[]) => Promise<void>;
  readonly log: Log;
}

const READ_COMMITTED = 1;
/** Kafka's number for an offset that the partition does not have. */
const OFFSET_OUT_OF_RANGE = 1;

/** kafkajs's own, where a user names none. */
const MAX_BYTES = 10 * 1024 * 1024;
const MAX_PARTITION_BYTES = 1024 * 1024;
const MAX_WAIT_MS = 5_000;

/** How often it is looked whether partitions have leaders that nothing is fetched from, and whether one goes on. */
const LOOK_MS = 1_000;
const PAUSED_LOOK_MS = 20;

const BACKOFF = { initialMs: 50, maxMs: 2_000 };

/** Fetches these partitions, one request a leader at a time, until the signal aborts and every handler has ended. */
export async function fetchPartitions(deps: FetchingDeps, signal: AbortSignal): Promise<void> {
  const { consumer, positions, log } = deps;
  const topics = [...new Set(positions.map(({ topic }) => topic))];
  const loops = new Map<number, Promise<void>>();
  let failures = 0;

  const readMetadata = () => consumer.metadata({ topics });
  type Metadata = Awaited<ReturnType<typeof readMetadata>>;
  const leaderOf = (metadata: Metadata, { topic, partition }: Position) =>
    metadata.topics.get(topic)?.partitions[partition]?.leader;

  const fetchOnce = async (metadata: Metadata, node: number, wanted: readonly Position[]): Promise<void> => {
    const { maxBytes, maxBytesPerPartition, maxWaitTimeInMs } = deps.settings;
    const asked = wanted.map((position) => ({ position, from: position.next, seeks: position.seeks }));
    const response = await consumer.fetch({
      node,
      connectionPool: deps.pool,
      isolationLevel: READ_COMMITTED,
      minBytes: 1,
      maxBytes: maxBytes ?? MAX_BYTES,
      maxWaitTime: maxWaitTimeInMs ?? MAX_WAIT_MS,
      topics: [...Map.groupBy(asked, ({ position }) => position.topic)].map(([topic, its]) => ({
        topicId: metadata.topics.get(topic)?.id ?? '',
        partitions: its.map(({ position, from }) => ({
          partition: position.partition,
          currentLeaderEpoch: -1,
          fetchOffset: from,
          lastFetchedEpoch: -1,
          partitionMaxBytes: maxBytesPerPartition ?? MAX_PARTITION_BYTES,
        })),
      })),
    });
    const handling = namedPartitions(metadata, response).map(async ({ topic, fetched }) => {
      const of = asked.find(
        ({ position }) => position.topic === topic && position.partition === fetched.partitionIndex,
      );
      if (of === undefined || of.position.seeks !== of.seeks || signal.aborted) return;
      const records = readCommitted(fetched, of.from);
      if (records !== undefined) await deps.handle(of.position, records, of.from);
    });
    await Promise.all(handling);
  };

  const fetchFrom = async (node: number): Promise<void> => {
    while (!signal.aborted) {
      let metadata: Metadata | undefined;
      try {
        metadata = await readMetadata();
        const known = metadata;
        const own = positions.filter((position) => leaderOf(known, position) === node);
        if (own.length === 0) return;
        const wanted = own.filter(({ isPaused }) => !isPaused);
        if (wanted.length === 0) await sleep(PAUSED_LOOK_MS, signal);
        else await fetchOnce(known, node, wanted);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        const lost = metadata === undefined ? [] : lostPositions(metadata, error, positions);
        log.debug('kafka.fetch_failed', { node, lost: lost.length, error });
        consumer.clearMetadata();
        if (lost.length > 0) {
          await deps.resetPositions(lost).catch((cause: unknown) => {
            log.debug('kafka.offsets_not_read', { error: cause });
          });
        }
        await sleep(backoffMs(failures, BACKOFF), signal);
        failures += 1;
      }
    }
  };

  const ended = createNotifier();
  while (!signal.aborted) {
    try {
      const metadata = await readMetadata();
      for (const leader of new Set(positions.map((position) => leaderOf(metadata, position)))) {
        if (leader === undefined || leader < 0 || loops.has(leader)) continue;
        loops.set(
          leader,
          fetchFrom(leader).finally(() => {
            loops.delete(leader);
            ended.notify();
          }),
        );
      }
    } catch (error) {
      log.debug('kafka.metadata_failed', { error });
    }
    // A race with the loops would leave something at each of their promises every time, for as long as they run.
    await ended.wait(LOOK_MS, signal);
  }
  await Promise.all(loops.values());
}

type FetchResponse = Awaited<ReturnType<PackageConsumer['fetch']>>;

function namedPartitions(
  metadata: Awaited<ReturnType<PackageConsumer['metadata']>>,
  { responses }: Pick<FetchResponse, 'responses'>,
) {
  const names = new Map([...metadata.topics].map(([name, topic]) => [topic?.id, name]));
  return responses.flatMap(({ topicId, partitions }) =>
    partitions.map((fetched) => ({ topic: names.get(topicId), fetched })),
  );
}

/** Of a failed fetch, the partitions that no longer have, or do not have yet, what was asked for. */
function lostPositions(
  metadata: Awaited<ReturnType<PackageConsumer['metadata']>>,
  error: unknown,
  positions: readonly Position[],
): Position[] {
  const responses = responsesIn(error).flatMap((response) => namedPartitions(metadata, response));
  return positions.filter(({ topic, partition }) =>
    responses.some(
      (each) =>
        each.topic === topic &&
        each.fetched.partitionIndex === partition &&
        each.fetched.errorCode === OFFSET_OUT_OF_RANGE,
    ),
  );
}

function responsesIn(error: unknown): Pick<FetchResponse, 'responses'>[] {
  const { response, errors = [] } = error as { response?: FetchResponse; errors?: readonly unknown[] };
  return response?.responses === undefined ? errors.flatMap(responsesIn) : [response];
}
