import type { Kafka } from 'kafkajs';

/** A broker of kafkajs's, as far as transactions need it. Each call rejects with a KafkaJSError. */
export interface Broker {
  initProducerId(request: { transactionalId: string; transactionTimeout: number }): Promise<Producer>;
  addPartitionsToTxn(request: TransactionRequest & { topics: readonly TopicPartitions[] }): Promise<unknown>;
  endTxn(request: TransactionRequest & { transactionResult: boolean }): Promise<unknown>;
  readonly connectionPool: {
    /** kafkajs keeps two to a broker: the first for all requests, the second for fetches. */
    getConnection(index: number): Promise<Connection>;
  };
}

export interface Connection {
  send<T>(exchange: { request: EncodedRequest; response: ResponseReader<T> }): Promise<T>;
}

/** kafkajs keeps the ID in an object that has 64 bits. */
export interface Producer {
  readonly producerId: { toString(): string };
  readonly producerEpoch: number;
}

export interface TransactionRequest extends Producer {
  readonly transactionalId: string;
}

export interface TopicPartitions {
  readonly topic: string;
  readonly partitions: readonly number[];
}

export interface EncodedRequest {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly apiName: string;
  /** `buf` is what kafkajs tells an encoder by, `buffer` its content. */
  encode(): Promise<{ readonly buf: Buffer; readonly buffer: Buffer }>;
}

export interface ResponseReader<T> {
  decode(body: Buffer): Promise<T>;
  parse(decoded: T): Promise<T>;
}

/** kafkajs's view of the brokers, which finds, connects and authenticates them. */
export interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>;
  refreshMetadata(): Promise<void>;
  findTopicPartitionMetadata(topic: string): readonly { partitionId: number; leader: number }[];
  findBroker(node: { nodeId: number }): Promise<Broker>;
  findGroupCoordinator(query: { groupId: string; coordinatorType: number }): Promise<Broker>;
}

type CreateCluster = (options: object) => Cluster;

/** The name of the symbol under which a client keeps the function that its producers and consumers are made with. */
const CREATE_CLUSTER = 'private:Kafka:createCluster';

/** kafkajs's own default. */
const METADATA_MAX_AGE_MS = 300_000;

/**
 * What a producer of this client would be built on, with the client's brokers, TLS, credentials and log. kafkajs keeps
 * it to itself; its version is pinned, and the tests of the transactional producer fail where it no longer gives this.
 */
export function createCluster(kafka: Kafka): Cluster {
  const { create } = findCreateCluster(kafka);
  return create({ metadataMaxAge: METADATA_MAX_AGE_MS, allowAutoTopicCreation: false });
}

/** How a client makes the connections of its producers, consumers and admins. @throws Error when it has no such function */
export function findCreateCluster(kafka: Kafka): { readonly key: symbol; readonly create: CreateCluster } {
  const key = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === CREATE_CLUSTER);
  const create: unknown = key && Reflect.get(kafka, key);
  if (key === undefined || typeof create !== 'function') {
    throw new Error(`this version of kafkajs has no ${CREATE_CLUSTER}`);
  }
  return { key, create: create as CreateCluster };
}
