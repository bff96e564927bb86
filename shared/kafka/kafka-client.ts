import type { MessageHeaders } from '../protocol/headers.ts';

/**
 * What services need of a Kafka client. More than one library stands behind it, and `createKafka` chooses. Names and shapes
 * are those that kafkajs gives, so that kafkajs fits without a layer that each record would have to pass.
 */
export interface KafkaClient {
  admin(options?: { readonly retry?: RetrySettings }): KafkaAdmin;
  /**
   * To this one a partition ends where its last record is. To any other it ends before the first transaction that is
   * not decided, or whose marker has not reached the partition yet.
   */
  uncommittedAdmin(): KafkaAdmin;
  producer(options?: ProducerSettings): KafkaProducer;
  consumer(options: ConsumerSettings): KafkaConsumer;
  /** Producers of these IDs, in this order. It fences every earlier producer of the same IDs, and ends what those had open. */
  transactionalProducers(transactionalIds: readonly string[]): Promise<TransactionalProducers>;
  /** Which requests each of these brokers takes. */
  apiVersions(nodeIds: readonly number[]): Promise<ReadonlyMap<number, ApiVersions>>;
  /** The last transactions in the first partition of a topic. */
  transactionTimes(admin: Pick<KafkaAdmin, 'fetchTopicOffsets'>, topic: string): Promise<TransactionTimes>;
  /**
   * The records of a topic's first partition at these offsets, without a group. Undefined for an offset that has no record
   * any more. Ask only for records that are known to be committed.
   */
  readRecords(topic: string, offsets: readonly number[]): Promise<(ReceivedMessage | undefined)[]>;
}

/** One transaction in a partition: when its writer sent the last record of it, and when the broker wrote its end. */
export interface TransactionTime {
  readonly writerAtMs: number;
  readonly brokerAtMs: number;
}

export interface TransactionTimes {
  /** The partition's leader, which writes the ends. */
  readonly brokerId: number;
  /** In their order, as far as the last records show them. */
  readonly transactions: readonly TransactionTime[];
}

/** The oldest and newest version of each request that a broker takes, by the request's number. */
export type ApiVersions = Readonly<
  Record<number, { readonly minVersion: number; readonly maxVersion: number }>
>;

/** Between two tries the wait grows from the first to the second, in milliseconds. */
export interface RetrySettings {
  readonly initialRetryTime?: number;
  readonly maxRetryTime?: number;
  readonly retries?: number;
}

/** What a broker says is in `type`, by the protocol's name for it. */
export interface KafkaFailure extends Error {
  readonly type?: unknown;
}

/** A failure that a client reports itself, with the protocol's name where a broker gave one. */
export class KafkaError extends Error {
  override readonly name = 'KafkaError';
  readonly type: string | undefined;

  constructor(message: string, { type, cause }: { type?: string | undefined; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.type = type;
  }
}

/** Whether a client, and not its user, has made this error. Classes can't be compared: there is more than one copy of kafkajs's. */
export function isKafkaError(error: unknown): error is KafkaFailure {
  return error instanceof Error && (error.name === 'KafkaError' || error.name.startsWith('KafkaJS'));
}

// Records.

export interface OutgoingMessage {
  key?: Buffer | string | null;
  value: Buffer | string | null;
  /** By default the key decides, as in Kafka's own clients. */
  partition?: number;
  headers?: MessageHeaders;
}

export interface TopicMessages {
  topic: string;
  messages: OutgoingMessage[];
}

export interface ReceivedMessage {
  key: Buffer | null;
  value: Buffer | null;
  offset: string;
  /** Epoch milliseconds. */
  timestamp: string;
  headers?: MessageHeaders;
}

/** Where records of one partition are. */
export interface WrittenRecords {
  topicName: string;
  partition: number;
  errorCode: number;
  /** Of the first one. */
  offset?: string;
  baseOffset?: string;
}

interface TopicPartition {
  topic: string;
  partition: number;
}

// Producers. A record that was acknowledged is on every in-sync replica.

export interface ProducerSettings {
  /** What a retry sends again is stored once, and in order. One request is under way at a time. */
  readonly idempotent?: boolean;
  readonly retry?: RetrySettings;
}

export interface KafkaProducer {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  send(record: TopicMessages): Promise<WrittenRecords[]>;
  /** Several topics at once. A topic stands in it once. */
  sendBatch(batch: { topicMessages: TopicMessages[] }): Promise<WrittenRecords[]>;
}

/**
 * After this the broker aborts the transaction of a dead instance by itself; the next instance does so at once. Longer
 * than the requests of one batch wait for a quota, which is 4 MB at 40 KB/s, and shorter than what any broker allows by
 * default (`transaction.max.timeout.ms`, 15 minutes).
 */
export const TRANSACTION_TIMEOUT_MS = 120_000;

export interface TransactionalProducers {
  readonly producers: readonly TransactionalProducer[];
  close(): Promise<void>;
}

/** What one request writes; or a function that makes it, once everything before it in the transaction is written. */
export type TransactionRequest =
  | TopicMessages[]
  | ((written: readonly WrittenRecords[]) => Promise<TopicMessages[]>);

/** One that commits one transaction after the other. */
export interface TransactionalProducer {
  /**
   * Sends the requests one after the other in one transaction, and resolves once it is committed. After an error the outcome
   * is unknown, and the producer is unusable. An error that a request's function throws is passed on as it is, and nothing
   * is committed.
   *
   * @returns where the last request's records are
   */
  publish(requests: readonly TransactionRequest[]): Promise<WrittenRecords[]>;
}

// Consumers. They read what is committed.

export interface ConsumerSettings {
  readonly groupId: string;
  readonly sessionTimeout?: number;
  readonly heartbeatInterval?: number;
  readonly rebalanceTimeout?: number;
  readonly maxWaitTimeInMs?: number;
  readonly maxBytes?: number;
  readonly maxBytesPerPartition?: number;
  readonly retry?: RetrySettings;
}

export interface OffsetToCommit extends TopicPartition {
  offset: string;
  metadata?: string | null;
}

export interface KafkaConsumer {
  readonly events: {
    readonly GROUP_JOIN: 'consumer.group_join';
    readonly CRASH: 'consumer.crash';
    readonly END_BATCH_PROCESS: 'consumer.end_batch_process';
  };
  connect(): Promise<void>;
  /** Leaves the group once handlers have ended. */
  disconnect(): Promise<void>;
  /** @param subscription `fromBeginning` is where a partition begins of which the group has committed nothing */
  subscribe(
    subscription: ({ topic: string } | { topics: string[] }) & { fromBeginning?: boolean },
  ): Promise<void>;
  /** Resolves once consuming has begun. */
  run(config: ConsumerRun): Promise<void>;
  seek(place: TopicPartition & { offset: string }): void;
  commitOffsets(offsets: OffsetToCommit[]): Promise<void>;
  /** This member's partitions, at every join of the group. */
  on(
    event: 'consumer.group_join',
    listener: (event: { payload: { memberAssignment: Record<string, number[]> } }) => void,
  ): unknown;
  /** `restart`: it goes on by itself. */
  on(
    event: 'consumer.crash',
    listener: (event: { payload: { error: Error; restart: boolean } }) => void,
  ): unknown;
  /** Also of batches without a message to handle: of aborted transactions, and of markers. */
  on(event: 'consumer.end_batch_process', listener: (event: { payload: EndedBatch }) => void): unknown;
}

export interface EndedBatch extends TopicPartition {
  batchSize: number;
  firstOffset: string | null;
  lastOffset: string;
}

export interface ConsumerRun {
  /** By default the offset behind each handled batch is committed. */
  autoCommit?: boolean;
  /** By default a batch is read when its handler has ended; without it, as far as the handler resolved. */
  eachBatchAutoResolve?: boolean;
  partitionsConsumedConcurrently?: number;
  eachBatch?: (payload: BatchPayload) => Promise<void>;
  eachMessage?: (payload: TopicPartition & { message: ReceivedMessage }) => Promise<void>;
}

export interface FetchedBatch extends TopicPartition {
  messages: ReceivedMessage[];
  /** Of the first message, when there is one. */
  firstOffset(): string | null;
  /** Of the last record, be it a marker, too. */
  lastOffset(): string;
}

export interface BatchPayload {
  batch: FetchedBatch;
  resolveOffset(offset: string): void;
  /** @throws KafkaFailure once the group is being joined again */
  heartbeat(): Promise<void>;
  isRunning(): boolean;
  /** Whether the partition was sought meanwhile: what comes of this batch is not wanted. */
  isStale(): boolean;
  /** Stops the partition. Returns what lets it go on. */
  pause(): () => void;
  /** Commits for the member that fetched this batch. */
  commitOffsetsIfNecessary(offsets: {
    topics: { topic: string; partitions: { partition: number; offset: string }[] }[];
  }): Promise<void>;
}

// Administration.

export interface PartitionMetadata {
  partitionId: number;
  leader: number;
  replicas: number[];
  isr: number[];
}

export interface TopicMetadata {
  name: string;
  partitions: PartitionMetadata[];
}

/** Kafka's number of the topics among what settings belong to. */
export const TOPIC_RESOURCE = 2;

interface ConfigResource {
  type: typeof TOPIC_RESOURCE;
  name: string;
}

interface ConfigEntry {
  configName: string;
  configValue: string;
  isDefault: boolean;
  /** Kafka's number of where the setting is made. */
  configSource: number;
}

export interface KafkaAdmin {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  describeCluster(): Promise<{
    brokers: { nodeId: number; host: string; port: number }[];
    controller: number | null;
  }>;
  listTopics(): Promise<string[]>;
  createTopics(options: {
    waitForLeaders?: boolean;
    topics: {
      topic: string;
      numPartitions?: number;
      replicationFactor?: number;
      configEntries?: { name: string; value: string }[];
    }[];
  }): Promise<boolean>;
  /** Of all topics when none are named. */
  fetchTopicMetadata(options?: { topics: string[] }): Promise<{ topics: TopicMetadata[] }>;
  fetchTopicOffsets(topic: string): Promise<{ partition: number; low: string; high: string }[]>;
  /** Below 0 where nothing is committed. */
  fetchOffsets(options: {
    groupId: string;
    topics: string[];
  }): Promise<
    { topic: string; partitions: { partition: number; offset: string; metadata: string | null }[] }[]
  >;
  describeGroups(groupIds: string[]): Promise<{
    groups: { groupId: string; state: string; members: unknown[] }[];
  }>;
  deleteGroups(groupIds: string[]): Promise<unknown>;
  describeConfigs(options: {
    resources: (ConfigResource & { configNames?: string[] })[];
    includeSynonyms: boolean;
  }): Promise<{
    resources: { resourceName: string; configEntries: ConfigEntry[] }[];
  }>;
  alterConfigs(options: {
    validateOnly: boolean;
    resources: (ConfigResource & { configEntries: { name: string; value: string }[] })[];
  }): Promise<unknown>;
  alterPartitionReassignments(options: {
    topics: { topic: string; partitionAssignment: { partition: number; replicas: number[] }[] }[];
  }): Promise<unknown>;
  listPartitionReassignments(options: object): Promise<{ topics: { topic: string }[] }>;
}
