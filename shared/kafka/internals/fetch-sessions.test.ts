import { expect, test } from 'vitest';
import {
  createFetch,
  type FetchingBroker,
  type FetchRequest,
  type FetchResponse,
  FetchSession,
  type FetchTopic,
  type SessionRequest,
} from './fetch-sessions.ts';

const SESSION_ID_NOT_FOUND = 70;
const INVALID_EPOCH = 71;

/** What a broker does with sessions, by the protocol. */
class ModelBroker {
  #sessions = new Map<number, { epoch: number; partitions: Map<string, string> }>();
  #nextId = 7;
  hasRoom = true;

  /** What it would fetch now, by topic and partition: the offset. */
  handle(request: SessionRequest): { errorCode: number; sessionId: number; fetched: Map<string, string> } {
    const { sessionId, sessionEpoch, topics, forgottenTopics } = request;
    if (sessionEpoch === 0) {
      this.#sessions.delete(sessionId);
      const partitions = new Map<string, string>();
      apply(partitions, topics);
      if (!this.hasRoom) return { errorCode: 0, sessionId: 0, fetched: partitions };
      const id = this.#nextId;
      this.#nextId += 1;
      this.#sessions.set(id, { epoch: 1, partitions });
      return { errorCode: 0, sessionId: id, fetched: new Map(partitions) };
    }
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return refuse(SESSION_ID_NOT_FOUND);
    if (session.epoch !== sessionEpoch) return refuse(INVALID_EPOCH);
    session.epoch += 1;
    for (const { topic, partitions } of forgottenTopics) {
      for (const partition of partitions) session.partitions.delete(`${topic}/${partition}`);
    }
    apply(session.partitions, topics);
    return { errorCode: 0, sessionId, fetched: new Map(session.partitions) };
  }

  evictAll(): void {
    this.#sessions.clear();
  }
}

const refuse = (errorCode: number) => ({ errorCode, sessionId: 0, fetched: new Map<string, string>() });

function apply(partitions: Map<string, string>, topics: readonly FetchTopic[]): void {
  for (const each of topics) {
    for (const { partition, fetchOffset, maxBytes } of each.partitions) {
      partitions.set(`${each.topic}/${partition}`, `${fetchOffset} ${maxBytes}`);
    }
  }
}

function flat(topics: readonly FetchTopic[]): Map<string, string> {
  const partitions = new Map<string, string>();
  apply(partitions, topics);
  return partitions;
}

const countOf = ({ topics }: Pick<SessionRequest, 'topics'>) =>
  topics.reduce((sum, { partitions }) => sum + partitions.length, 0);

const topicOf = (topic: string, offsets: Readonly<Record<number, number>>): FetchTopic => ({
  topic,
  partitions: Object.entries(offsets).map(([partition, offset]) => ({
    partition: Number(partition),
    fetchOffset: String(offset),
    maxBytes: 100,
  })),
});

test('a request names what has changed since the last one, and what is no longer wanted', () => {
  const session = new FetchSession();
  const first = session.next([topicOf('a', { 0: 0, 1: 0 }), topicOf('b', { 0: 5 })]);
  expect(first).toEqual({
    sessionId: 0,
    sessionEpoch: 0,
    topics: [topicOf('a', { 0: 0, 1: 0 }), topicOf('b', { 0: 5 })],
    forgottenTopics: [],
  });
  session.answered(9);
  const second = session.next([topicOf('a', { 0: 0, 1: 3 }), topicOf('b', { 0: 5 })]);
  expect(second).toEqual({
    sessionId: 9,
    sessionEpoch: 1,
    topics: [topicOf('a', { 1: 3 })],
    forgottenTopics: [],
  });
  session.answered(9);
  const third = session.next([topicOf('a', { 0: 0 })]);
  expect(third).toEqual({
    sessionId: 9,
    sessionEpoch: 2,
    topics: [],
    forgottenTopics: [
      { topic: 'a', partitions: [1] },
      { topic: 'b', partitions: [0] },
    ],
  });
  session.answered(9);
  // Wanted again, from where it was: the broker has forgotten it.
  expect(session.next([topicOf('a', { 0: 0 }), topicOf('b', { 0: 5 })]).topics).toEqual([
    topicOf('b', { 0: 5 }),
  ]);
});

test('what the broker fetches is what is wanted, whatever it forgets and whichever responses are lost', () => {
  for (let seed = 1; seed <= 50; seed += 1) {
    const random = createRandom(seed);
    const session = new FetchSession();
    const broker = new ModelBroker();
    const wanted = new Map<string, number>();
    let refusals = 0;
    for (let step = 0; step < 200; step += 1) {
      const name = `t${Math.floor(random() * 3)}/${Math.floor(random() * 4)}`;
      if (random() < 0.3) wanted.delete(name);
      else if (random() < 0.6) wanted.set(name, Math.floor(random() * 1_000));
      if (random() < 0.05) broker.evictAll();
      if (random() < 0.05) broker.hasRoom = !broker.hasRoom;
      const topics = group(wanted);
      const answer = broker.handle(session.next(topics));
      if (random() < 0.1) {
        session.lost();
        continue;
      }
      if (answer.errorCode !== 0) {
        refusals += 1;
        session.lost();
        const again = broker.handle(session.next(topics));
        expect(again.errorCode).toBe(0);
        expect(again.fetched).toEqual(flat(topics));
        session.answered(again.sessionId);
        continue;
      }
      expect(answer.fetched).toEqual(flat(topics));
      session.answered(answer.sessionId);
    }
    expect(refusals).toBeLessThan(200);
  }
});

test('an idle request is empty', () => {
  const session = new FetchSession();
  const broker = new ModelBroker();
  const topics = [topicOf('a', { 0: 0, 1: 0, 2: 7 })];
  for (let count = 0; count < 5; count += 1) {
    const request = session.next(topics);
    expect(countOf(request)).toBe(count === 0 ? 3 : 0);
    session.answered(broker.handle(request).sessionId);
  }
});

test('a session that the broker has lost is begun again within the same fetch', async () => {
  const { broker, model, asked } = fetchingBroker();
  const topics = [topicOf('a', { 0: 0, 1: 0 })];
  expect(await fetchOf(broker, { topics })).toBe('a/0=0 100 a/1=0 100');
  expect(await fetchOf(broker, { topics })).toBe('a/0=0 100 a/1=0 100');
  model.evictAll();
  expect(await fetchOf(broker, { topics })).toBe('a/0=0 100 a/1=0 100');
  expect(asked).toEqual([2, 0, 0, 2]);
});

test('after a request that failed everything is said again', async () => {
  const { broker, asked, failNext } = fetchingBroker();
  const topics = [topicOf('a', { 0: 0, 1: 0 })];
  await fetchOf(broker, { topics });
  failNext();
  await expect(fetchOf(broker, { topics })).rejects.toThrow('lost');
  expect(await fetchOf(broker, { topics })).toBe('a/0=0 100 a/1=0 100');
  expect(asked).toEqual([2, 0, 2]);
});

test('a broker without sessions, or without room for one, is asked as kafkajs asks', async () => {
  const old = fetchingBroker({ version: 6 });
  expect(await fetchOf(old.broker, { topics: [topicOf('a', { 0: 0 })] })).toBe('original');
  let nowMs = 0;
  const full = fetchingBroker({ now: () => nowMs });
  full.model.hasRoom = false;
  const topics = [topicOf('a', { 0: 0 })];
  expect(await fetchOf(full.broker, { topics })).toBe('a/0=0 100');
  expect(await fetchOf(full.broker, { topics })).toBe('original');
  full.model.hasRoom = true;
  nowMs = 60_000;
  expect(await fetchOf(full.broker, { topics })).toBe('a/0=0 100');
  expect(await fetchOf(full.broker, { topics })).toBe('a/0=0 100');
  expect(full.asked).toEqual([1, 1, 0]);
});

test('a second fetch beside one that is under way has no part in the session', async () => {
  const { broker, hold } = fetchingBroker();
  const topics = [topicOf('a', { 0: 0 })];
  const release = hold();
  const first = fetchOf(broker, { topics });
  expect(await fetchOf(broker, { topics })).toBe('original');
  release();
  expect(await first).toBe('a/0=0 100');
});

test('while a quota is used up the caller gets empty responses, and the broker no requests', async () => {
  let nowMs = 0;
  const pauses: number[] = [];
  const { broker, asked, throttleNext } = fetchingBroker({
    now: () => nowMs,
    async pause(ms) {
      pauses.push(ms);
      nowMs += ms;
    },
  });
  const topics = [topicOf('a', { 0: 0 })];
  throttleNext(2_500);
  expect(await fetchOf(broker, { topics })).toBeUndefined();
  for (let count = 0; count < 3; count += 1) expect(await fetchOf(broker, { topics })).toBeUndefined();
  expect(pauses).toEqual([1_000, 1_000, 500]);
  expect(asked).toEqual([1]);
  // It has made no session, and is asked for one at once.
  expect(await fetchOf(broker, { topics })).toBe('a/0=0 100');
  expect(await fetchOf(broker, { topics })).toBe('a/0=0 100');
  expect(asked).toEqual([1, 1, 0]);
});

interface FetchingOptions {
  version?: number;
  now?: () => number;
  pause?: (ms: number) => Promise<void>;
}

function fetchingBroker({ version = 11, now = () => 0, pause }: FetchingOptions = {}) {
  const model = new ModelBroker();
  const asked: number[] = [];
  let failing = false;
  let throttleMs = 0;
  let held: Promise<void> | undefined;
  const answer = (fetched: string): FetchResponse => ({ errorCode: 0, sessionId: 0, responses: [fetched] });
  const original = async () => answer('original');
  const broker: FetchingBroker = {
    fetch: createFetch(original, (each) => each.lookupRequest(1, undefined), now, pause),
    lookupRequest: () => (request) => ({
      request: {
        apiKey: 1,
        apiVersion: version,
        apiName: 'Fetch',
        encode: () => Promise.reject(new Error()),
      },
      response: {
        decode: async () => {
          const { errorCode, sessionId, fetched } = model.handle(request as SessionRequest);
          const text = [...fetched].map(([name, offset]) => `${name}=${offset}`).join(' ');
          asked.push(countOf(request as SessionRequest));
          if (throttleMs > 0) {
            const clientSideThrottleTime = throttleMs;
            throttleMs = 0;
            model.evictAll();
            return { errorCode: 0, sessionId: 0, responses: [], clientSideThrottleTime };
          }
          return { errorCode, sessionId, responses: [text] };
        },
        parse: async (decoded) => decoded,
      },
      requestTimeout: 600,
    }),
    connectionPool: {
      async send({ response }) {
        await held;
        const decoded = await response.decode(Buffer.alloc(0));
        if (failing) {
          failing = false;
          throw new Error('the response was lost');
        }
        return response.parse(decoded);
      },
    },
    disconnect: async () => undefined,
  };
  return {
    broker,
    model,
    asked,
    failNext() {
      failing = true;
    },
    throttleNext(ms: number) {
      throttleMs = ms;
    },
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return resolve;
    },
  };
}

async function fetchOf(broker: FetchingBroker, request: FetchRequest): Promise<unknown> {
  return (await broker.fetch(request)).responses[0];
}

function group(wanted: ReadonlyMap<string, number>): FetchTopic[] {
  const byTopic = Map.groupBy(wanted, ([name]) => name.split('/')[0] ?? '');
  return [...byTopic].map(([topic, entries]) =>
    topicOf(topic, Object.fromEntries(entries.map(([name, offset]) => [Number(name.split('/')[1]), offset]))),
  );
}

/** Numbers from 0 to 1, the same for the same seed. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
