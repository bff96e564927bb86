import { createRequire } from 'node:module';
import { sleep } from '../../runtime/sleep.ts';
import type { EncodedRequest, ResponseReader } from './cluster.ts';

const require = createRequire(import.meta.url);

const BROKER = 'kafkajs/src/broker/index.js';
const REQUESTS = 'kafkajs/src/protocol/requests/index.js';
const API_KEYS = 'kafkajs/src/protocol/requests/apiKeys.js';

/** The first version of Fetch that knows sessions. */
const SESSIONS_SINCE = 7;

/** FETCH_SESSION_ID_NOT_FOUND and INVALID_FETCH_SESSION_EPOCH: the broker has another session in its place, or has restarted. */
const SESSION_LOST: ReadonlySet<number> = new Set([70, 71]);

const MAX_EPOCH = 2 ** 31 - 1;

/** A broker that has no room for a session is asked for one again after this. */
const REFUSED_MS = 60_000;

/** A consumer heartbeats after each response, so while a quota is used up it gets an empty one this often. */
const THROTTLE_STEP_MS = 1_000;

export interface FetchPartition {
  readonly partition: number;
  readonly fetchOffset: string;
  readonly maxBytes: number;
}

export interface FetchTopic {
  readonly topic: string;
  readonly partitions: readonly FetchPartition[];
}

/** What a request says of its session, and the part of it that the broker does not have from earlier ones. */
export interface SessionRequest {
  readonly sessionId: number;
  readonly sessionEpoch: number;
  readonly topics: readonly FetchTopic[];
  readonly forgottenTopics: readonly { readonly topic: string; readonly partitions: readonly number[] }[];
}

/** A session that has no answer to its first request yet begins with this epoch: the broker makes a new one. */
const FIRST_EPOCH = 0;

/**
 * A fetch session with one broker (KIP-227). The broker keeps what is fetched, and where from. So a request names only
 * partitions whose offsets have changed, and a response only those that have something new. One request is under way at
 * a time.
 *
 * `next` is given the whole of what is wanted each time, so nothing depends on what became of the records of an earlier
 * response: records that were thrown away are fetched again, from the same offset.
 */
export class FetchSession {
  #id = 0;
  #epoch = FIRST_EPOCH;
  /** What the broker has, by topic and partition. */
  #known = new Map<string, Map<number, FetchPartition>>();

  /** The next request for exactly these partitions. */
  next(wanted: readonly FetchTopic[]): SessionRequest {
    if (this.#epoch === FIRST_EPOCH) this.#known = new Map();
    const topics: FetchTopic[] = [];
    const present = new Map<string, Set<number>>();
    for (const { topic, partitions } of wanted) {
      const known = this.#known.get(topic) ?? new Map<number, FetchPartition>();
      this.#known.set(topic, known);
      const there = present.get(topic) ?? new Set<number>();
      present.set(topic, there);
      const changed = partitions.filter((each) => !isSame(known.get(each.partition), each));
      for (const each of partitions) there.add(each.partition);
      for (const each of changed) known.set(each.partition, each);
      if (changed.length > 0) topics.push({ topic, partitions: changed });
    }
    return {
      sessionId: this.#id,
      sessionEpoch: this.#epoch,
      topics,
      forgottenTopics: this.#forget(present),
    };
  }

  /** The broker has handled the request. Its answer has no ID where it has no room for a session. */
  answered(sessionId: number): void {
    this.#id = sessionId;
    if (sessionId === 0) this.#epoch = FIRST_EPOCH;
    else this.#epoch = this.#epoch === MAX_EPOCH ? FIRST_EPOCH + 1 : this.#epoch + 1;
  }

  /** It is not known what the broker has. The next request begins a session, in the place of this one. */
  lost(): void {
    this.#epoch = FIRST_EPOCH;
  }

  #forget(present: ReadonlyMap<string, ReadonlySet<number>>): SessionRequest['forgottenTopics'] {
    const forgotten: { topic: string; partitions: number[] }[] = [];
    for (const [topic, known] of this.#known) {
      const there = present.get(topic);
      const partitions = [...known.keys()].filter((partition) => there?.has(partition) !== true);
      for (const partition of partitions) known.delete(partition);
      if (partitions.length > 0) forgotten.push({ topic, partitions });
      if (known.size === 0) this.#known.delete(topic);
    }
    return forgotten;
  }
}

function isSame(a: FetchPartition | undefined, b: FetchPartition): boolean {
  return a?.fetchOffset === b.fetchOffset && a.maxBytes === b.maxBytes;
}

export interface FetchRequest {
  readonly topics: readonly FetchTopic[];
}

export interface FetchResponse {
  /** Of the whole request. */
  readonly errorCode: number;
  readonly sessionId: number;
  readonly responses: readonly unknown[];
  /** For this long the broker answers no further fetch, in milliseconds: a quota is used up, and the response is empty. */
  readonly clientSideThrottleTime?: number;
}

interface FetchExchange {
  readonly request: EncodedRequest;
  readonly response: ResponseReader<FetchResponse>;
  readonly requestTimeout: number;
}

/** A broker of kafkajs's, as far as fetching needs it. */
export interface FetchingBroker {
  fetch(request: FetchRequest): Promise<FetchResponse>;
  /** The newest version of a request that both sides know. */
  lookupRequest(apiKey: number, requests: unknown): (request: object) => FetchExchange;
  readonly connectionPool: { send(exchange: FetchExchange): Promise<FetchResponse> };
  disconnect(): Promise<void>;
}

let isDone = false;

/**
 * Lets consumers fetch in sessions. kafkajs names every partition in each request and gets each in every response, which
 * for a writer of many resources is most of what it costs while nothing happens, to itself and to the broker.
 *
 * Also keeps a consumer in its group while a quota holds up its fetches. A saturated quota does so for some ten seconds
 * at a time, in which kafkajs, waiting for the response, sends no heartbeat: the group gives its partitions to others,
 * and what it had not committed is read again, at the cost of more quota. Safe to call again.
 */
export function fetchInSessions(): void {
  if (isDone) return;
  isDone = true;
  const broker = require(BROKER) as { readonly prototype: FetchingBroker };
  const { requests } = require(REQUESTS) as { readonly requests: { readonly Fetch: unknown } };
  const { Fetch: apiKey } = require(API_KEYS) as { readonly Fetch: number };
  broker.prototype.fetch = createFetch(broker.prototype.fetch, (each) =>
    each.lookupRequest(apiKey, requests.Fetch),
  );
}

/**
 * @param original kafkajs's own: for a broker that has no sessions or no room for one, and for a second request beside one
 *   that is under way
 */
export function createFetch(
  original: FetchingBroker['fetch'],
  requestOf: (broker: FetchingBroker) => (request: object) => FetchExchange,
  now: () => number = Date.now,
  pause: (ms: number) => Promise<void> = sleep,
): FetchingBroker['fetch'] {
  const sessions = new WeakMap<FetchingBroker, FetchSession>();
  const refusedAtMs = new WeakMap<FetchingBroker, number>();
  const busy = new WeakSet<FetchingBroker>();
  const throttledUntilMs = new WeakMap<FetchingBroker, number>();

  const hasSessions = (broker: FetchingBroker, request: FetchRequest): boolean =>
    !busy.has(broker) &&
    now() - (refusedAtMs.get(broker) ?? Number.NEGATIVE_INFINITY) >= REFUSED_MS &&
    requestOf(broker)(request).request.apiVersion >= SESSIONS_SINCE;

  const send = async (broker: FetchingBroker, request: FetchRequest): Promise<FetchResponse> => {
    const session = sessions.get(broker) ?? new FetchSession();
    sessions.set(broker, session);
    const exchange = requestOf(broker)({ ...request, ...session.next(request.topics) });
    const { decode, parse } = exchange.response;
    try {
      const answer = await broker.connectionPool.send({
        ...exchange,
        response: {
          decode,
          parse: async (decoded) => (SESSION_LOST.has(decoded.errorCode) ? decoded : parse(decoded)),
        },
      });
      if (SESSION_LOST.has(answer.errorCode)) session.lost();
      else session.answered(answer.sessionId);
      // Throttled, it has not come so far as to make one.
      if (answer.errorCode === 0 && answer.sessionId === 0 && !isThrottled(answer)) {
        refusedAtMs.set(broker, now());
      }
      return answer;
    } catch (error) {
      session.lost();
      // As kafkajs does after any request.
      if ((error as Error).name === 'KafkaJSConnectionClosedError') await broker.disconnect();
      throw error;
    }
  };

  const fetchNow = async (broker: FetchingBroker, request: FetchRequest): Promise<FetchResponse> => {
    if (!hasSessions(broker, request)) return original.call(broker, request);
    busy.add(broker);
    try {
      const answer = await send(broker, request);
      return SESSION_LOST.has(answer.errorCode) ? await send(broker, request) : answer;
    } finally {
      busy.delete(broker);
    }
  };

  return async function fetch(this: FetchingBroker, request) {
    const leftMs = (throttledUntilMs.get(this) ?? 0) - now();
    if (leftMs > 0) {
      await pause(Math.min(leftMs, THROTTLE_STEP_MS));
      return { errorCode: 0, sessionId: 0, responses: [] };
    }
    const answer = await fetchNow(this, request);
    if (isThrottled(answer)) throttledUntilMs.set(this, now() + answer.clientSideThrottleTime);
    return answer;
  };
}

function isThrottled(
  answer: FetchResponse,
): answer is FetchResponse & { readonly clientSideThrottleTime: number } {
  return (answer.clientSideThrottleTime ?? 0) > 0;
}
