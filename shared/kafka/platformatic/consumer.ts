import { EventEmitter } from 'node:events';
import type { BaseOptions, ConnectionPool } from '@platformatic/kafka';
import { anySignal } from '../../runtime/any-signal.ts';
import type { Log } from '../../runtime/log.ts';
import { backoffMs } from '../../runtime/retry.ts';
import { sleep } from '../../runtime/sleep.ts';
import {
  type ConsumerRun,
  type ConsumerSettings,
  type KafkaConsumer,
  KafkaError,
  type OffsetToCommit,
} from '../kafka-client.ts';
import { mayPass, toKafkaError, told, typeOf } from './errors.ts';
import { fetchPartitions, type PackageConsumer, type Position } from './fetching.ts';
import { createHandler } from './handle-batches.ts';
import { loadPlatformatic, type Platformatic } from './load.ts';

const EVENTS = {
  GROUP_JOIN: 'consumer.group_join',
  CRASH: 'consumer.crash',
  END_BATCH_PROCESS: 'consumer.end_batch_process',
} as const;

/** kafkajs's name, so that members of both clients agree on how partitions are given out, and share a group. */
const ASSIGNER = { name: 'RoundRobinAssigner', version: 1 };

const GROUP = { sessionTimeout: 30_000, heartbeatInterval: 3_000, rebalanceTimeout: 60_000 };

const REJOIN = { initialMs: 50, maxMs: 2_000 };
const COMMIT = { initialMs: 50, maxMs: 1_000 };
const COMMIT_ATTEMPTS = 10;

/** A single request: what lasts longer is tried again here, with what has changed meanwhile. */
const REQUEST_RETRIES = 3;

const EARLIEST = -2n;
const LATEST = -1n;

/** One connection to the group: from `connect` to `disconnect`. */
interface Session {
  readonly library: Platformatic;
  readonly consumer: PackageConsumer;
  readonly pool: ConnectionPool;
  readonly ending: AbortController;
}

/** What a member has been given, until the group is joined again. */
interface Membership {
  readonly memberId: string;
  readonly generationId: number;
  readonly over: AbortController;
  positions: readonly Position[];
  readonly sought: Map<string, bigint>;
}

const keyOf = (topic: string, partition: number) => `${topic}/${partition}`;

/**
 * A member of a group, over the package's membership and fetches. The package reads into one stream of messages; here each
 * partition is a batch at a time, which may be paused, sought and committed by itself.
 */
export function createConsumer(options: BaseOptions, settings: ConsumerSettings, log: Log): KafkaConsumer {
  const emitter = new EventEmitter();
  const subscribed = new Map<string, { readonly fromBeginning: boolean }>();
  let session: Session | undefined;
  let membership: Membership | undefined;
  let running: Promise<unknown> = Promise.resolve();
  /** Asked for before the group was joined. */
  let soughtEarly = new Map<string, bigint>();

  const current = (): Session => {
    if (session === undefined) throw new KafkaError('the consumer is not connected');
    return session;
  };

  /** Where these begin that the group has committed nothing of, or that have lost what is next. */
  const boundsOf = async (
    { consumer }: Session,
    places: readonly { topic: string; partition: number }[],
  ): Promise<ReadonlyMap<string, bigint>> => {
    const found = new Map<string, bigint>();
    for (const [topic, its] of Map.groupBy(places, (place) => place.topic)) {
      const { fromBeginning = false } = subscribed.get(topic) ?? {};
      const partitions = its.map(({ partition }) => partition);
      const offsets = await consumer.listOffsets({
        topics: [topic],
        partitions: { [topic]: partitions },
        timestamp: fromBeginning ? EARLIEST : LATEST,
      });
      for (const partition of partitions) {
        found.set(keyOf(topic, partition), offsets.get(topic)?.[partition] ?? 0n);
      }
    }
    return found;
  };

  const findPositions = async (
    on: Session,
    assignment: readonly { topic: string; partitions: readonly number[] }[],
    sought: ReadonlyMap<string, bigint>,
  ): Promise<Position[]> => {
    const given = assignment.filter(({ partitions }) => partitions.length > 0);
    if (given.length === 0) return [];
    const committed = await on.consumer.listCommittedOffsets({
      topics: given.map(({ topic, partitions }) => ({ topic, partitions: [...partitions] })),
    });
    const places = given.flatMap(({ topic, partitions }) =>
      partitions.map((partition) => ({ topic, partition, offset: committed.get(topic)?.[partition] ?? -1n })),
    );
    const bounds = await boundsOf(
      on,
      places.filter(({ offset }) => offset < 0n),
    );
    return places.map(({ topic, partition, offset }) => {
      const key = keyOf(topic, partition);
      return {
        topic,
        partition,
        next: sought.get(key) ?? bounds.get(key) ?? offset,
        seeks: 0,
        isPaused: false,
      };
    });
  };

  const consume = async (on: Session, own: Membership, config: ConsumerRun): Promise<void> => {
    const { consumer, pool } = on;
    using any = anySignal([on.ending.signal, own.over.signal]);
    const { signal } = any;
    const assignment = consumer.assignments ?? [];
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        own.positions = await findPositions(on, assignment, own.sought);
        break;
      } catch (error) {
        log.debug('kafka.offsets_not_read', { error });
        consumer.clearMetadata();
        await sleep(backoffMs(attempt, REJOIN), signal);
      }
    }
    // What was sought while offsets were being read.
    for (const position of own.positions) {
      position.next = own.sought.get(keyOf(position.topic, position.partition)) ?? position.next;
    }
    const handle = createHandler({
      config,
      signal,
      commit: (offsets) => commit(own, offsets),
      emitEnd: (payload) => void emitter.emit(EVENTS.END_BATCH_PROCESS, { payload }),
      log,
    });
    const resetPositions = async (lost: readonly Position[]): Promise<void> => {
      const bounds = await boundsOf(on, lost);
      for (const position of lost) {
        const begin = bounds.get(keyOf(position.topic, position.partition));
        if (begin === undefined) continue;
        log.warn('kafka.reported', {
          message: 'the next record is gone',
          topic: position.topic,
          partition: position.partition,
          next: String(position.next),
          goesOnAt: String(begin),
        });
        position.next = begin;
        position.seeks += 1;
      }
    };
    const { positions } = own;
    await fetchPartitions({ consumer, pool, settings, positions, handle, resetPositions, log }, signal);
  };

  /** The package heartbeats and joins again by itself. It tells of each join, and of a join that it has given up. */
  const follow = (on: Session, config: ConsumerRun, onJoined: () => void): void => {
    const { consumer } = on;
    consumer.on('consumer:group:join', ({ memberId, generationId = 0 }) => {
      if (on.ending.signal.aborted) return;
      membership?.over.abort();
      const own: Membership = {
        memberId,
        generationId,
        over: new AbortController(),
        positions: [],
        sought: soughtEarly,
      };
      soughtEarly = new Map();
      membership = own;
      const memberAssignment = Object.fromEntries(
        (consumer.assignments ?? []).map(({ topic, partitions }) => [topic, [...partitions]]),
      );
      emitter.emit(EVENTS.GROUP_JOIN, { payload: { memberAssignment } });
      onJoined();
      // Handlers of the membership before end first, so that a partition never has two.
      running = running
        .then(() => consume(on, own, config))
        .catch((error: unknown) => {
          emitter.emit(EVENTS.CRASH, { payload: { restart: false, error: toKafkaError(error) } });
        });
    });
    consumer.on('consumer:group:rebalance', () => membership?.over.abort());
    consumer.on('error', (error) => {
      log.debug('kafka.group_not_joined', { error });
      membership?.over.abort();
      void join(on);
    });
  };

  /** Tries until the group is joined, or it is certain that it never will be. */
  const join = async (on: Session): Promise<void> => {
    const { signal } = on.ending;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        await on.consumer.joinGroup({});
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!mayPass(error) && typeOf(error) !== 'UNKNOWN_MEMBER_ID') {
          emitter.emit(EVENTS.CRASH, { payload: { restart: false, error: toKafkaError(error) } });
          return;
        }
        log.debug('kafka.group_not_joined', { error });
        on.consumer.clearMetadata();
        await sleep(backoffMs(attempt, REJOIN), signal);
      }
    }
  };

  /** With the generation of the caller, so that a broker refuses it once the group was joined again. */
  const commit = async (own: Membership | undefined, offsets: readonly OffsetToCommit[]): Promise<void> => {
    const { library, consumer, ending } = current();
    if (own === undefined || own.over.signal.aborted) {
      throw new KafkaError('the group is rebalancing', { type: 'REBALANCE_IN_PROGRESS' });
    }
    const topics = [...Map.groupBy(offsets, ({ topic }) => topic)].map(([name, its]) => ({
      name,
      partitions: its.map(({ partition, offset, metadata }) => ({
        partitionIndex: partition,
        committedOffset: BigInt(offset),
        committedLeaderEpoch: -1,
        committedMetadata: metadata ?? null,
      })),
    }));
    for (let attempt = 1; ; attempt += 1) {
      try {
        const coordinator = await consumer.findGroupCoordinator();
        const connections = await consumer.connectToBrokers([coordinator]);
        const connection = connections.get(coordinator);
        if (connection === undefined) throw new KafkaError('the group has no coordinator now');
        await library.offsetCommitV8.api.async(
          connection,
          settings.groupId,
          own.generationId,
          own.memberId,
          null,
          topics,
        );
        return;
      } catch (error) {
        const isOver = own.over.signal.aborted || ending.signal.aborted;
        if (
          isOver ||
          attempt >= COMMIT_ATTEMPTS ||
          !mayPass(error) ||
          typeOf(error) === 'REBALANCE_IN_PROGRESS'
        )
          throw toKafkaError(error);
        consumer.clearMetadata();
        await sleep(backoffMs(attempt - 1, COMMIT), ending.signal);
      }
    }
  };

  return {
    events: EVENTS,
    on: (event: string, listener: Parameters<EventEmitter['on']>[1]) => emitter.on(event, listener),
    async connect() {
      if (session !== undefined) return;
      const library = await loadPlatformatic();
      const requestOptions = { ...options, retries: REQUEST_RETRIES };
      const consumer: PackageConsumer = new library.Consumer({
        ...requestOptions,
        groupId: settings.groupId,
        sessionTimeout: settings.sessionTimeout ?? GROUP.sessionTimeout,
        heartbeatInterval: settings.heartbeatInterval ?? GROUP.heartbeatInterval,
        rebalanceTimeout: settings.rebalanceTimeout ?? GROUP.rebalanceTimeout,
        protocols: [ASSIGNER],
        autocommit: false,
      });
      try {
        await told(() => consumer.metadata({ topics: [] }));
      } catch (error) {
        await consumer.close().catch(() => undefined);
        throw error;
      }
      const pool = new library.ConnectionPool(options.clientId, { ...requestOptions });
      session = { library, consumer, pool, ending: new AbortController() };
    },
    async disconnect() {
      const ended = session;
      if (ended === undefined) return;
      session = undefined;
      ended.ending.abort();
      await new Promise<void>((resolve) => ended.pool.close(() => resolve()));
      await running;
      membership = undefined;
      // A broker that does not hear of it finds out by the session's time limit.
      await told(() => ended.consumer.leaveGroup(true) as unknown as Promise<void>).catch(
        (error: unknown) => {
          log.debug('kafka.group_not_left', { error });
        },
      );
      await new Promise<void>((resolve) => ended.consumer.close(true, () => resolve()));
    },
    async subscribe(subscription) {
      const topics = 'topics' in subscription ? subscription.topics : [subscription.topic];
      for (const topic of topics) {
        subscribed.set(topic, { fromBeginning: subscription.fromBeginning ?? false });
      }
    },
    async run(config) {
      const on = current();
      on.consumer.topics.trackAll(...subscribed.keys());
      const joined = Promise.withResolvers<void>();
      on.ending.signal.addEventListener('abort', () => joined.resolve(), { once: true });
      follow(on, config, joined.resolve);
      await Promise.race([joined.promise, join(on)]);
    },
    seek({ topic, partition, offset }) {
      const key = keyOf(topic, partition);
      (membership?.sought ?? soughtEarly).set(key, BigInt(offset));
      const position = membership?.positions.find((each) => keyOf(each.topic, each.partition) === key);
      if (position === undefined) return;
      position.next = BigInt(offset);
      position.seeks += 1;
    },
    commitOffsets: (offsets) => commit(membership, offsets),
  };
}
