import type { KafkaAdmin, KafkaClient } from '../../../shared/kafka/kafka-client.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import { commandsGroup, feedMirrorGroup, recorderGroup, rowsGroup } from '../../../shared/protocol/names.ts';
import type { Status } from './response.ts';

/** A consumer group, and what it has not read yet. Its topics with the most come first. */
export type GroupLag = NonNullable<Status['consumers']>[number];

type TopicLag = GroupLag['topics'][number];

/** A catalog may have a thousand resources, with a topic each: this many of a group are asked for. */
const MAX_TOPICS = 100;

/** Requests to the brokers that are under way at once. */
const MAX_AT_ONCE = 8;

/** Longer than a broker that is well takes for all of them. */
const READ_MS = 8_000;

export interface ConsumerLag extends AsyncDisposable {
  /** @throws Error while Kafka does not respond */
  read(): Promise<GroupLag[]>;
}

/** The groups of all services, by an admin client that connects when it is first needed. */
export function createConsumerLag(
  kafka: Pick<KafkaClient, 'admin'>,
  {
    topics,
    prefix,
    resources,
  }: { readonly topics: Topics; readonly prefix: string; readonly resources: readonly string[] },
): ConsumerLag {
  const groups = [
    { group: recorderGroup(prefix), service: 'dispatcher', topics: [topics.changes], isFromStart: true },
    {
      group: feedMirrorGroup(prefix),
      service: 'dispatcher',
      topics: [topics.capture, topics.jobs],
      isFromStart: true,
    },
    { group: rowsGroup(prefix), service: 'writer', topics: resources.map(topics.rows), isFromStart: true },
    { group: commandsGroup(prefix), service: 'extractor', topics: [topics.commands], isFromStart: false },
  ];
  let connecting: Promise<KafkaAdmin> | undefined;
  const connected = () => {
    connecting ??= connect(kafka).catch((error: unknown) => {
      connecting = undefined;
      throw error;
    });
    return connecting;
  };
  return {
    async read() {
      const admin = await connected();
      return within(READ_MS, readGroups(admin, groups));
    },
    async [Symbol.asyncDispose]() {
      const admin = await connecting?.catch(() => undefined);
      await admin?.disconnect();
    },
  };
}

async function connect(kafka: Pick<KafkaClient, 'admin'>): Promise<KafkaAdmin> {
  // A person waits for the page: an unavailable broker is reported soon, and asked again with the next reading.
  const admin = kafka.admin({ retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 3 } });
  await admin.connect();
  return admin;
}

async function within<Value>(limitMs: number, reading: Promise<Value>): Promise<Value> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('Kafka took too long to respond')), limitMs);
  try {
    return await Promise.race([reading, promise]);
  } finally {
    clearTimeout(timer);
  }
}

interface Group {
  readonly group: string;
  readonly service: string;
  readonly topics: readonly string[];
  /** It begins with the first record where it has committed nothing: then all of them are unread. */
  readonly isFromStart: boolean;
}

/** Offsets of a partition: that of its first record, and that behind its last. */
interface Bounds {
  readonly low: bigint;
  readonly end: bigint;
}

async function readGroups(admin: KafkaAdmin, declared: readonly Group[]): Promise<GroupLag[]> {
  // Topics are made when services start: one that is not there yet has nothing to read.
  const existing = new Set(await admin.listTopics());
  const groups = declared.map((group) => ({
    ...group,
    topics: group.topics.filter((topic) => existing.has(topic)),
  }));
  const [described, ...offsets] = await Promise.all([
    admin.describeGroups(groups.map(({ group }) => group)),
    ...groups.map(({ group, topics }) =>
      admin.fetchOffsets({ groupId: group, topics: topics.slice(0, MAX_TOPICS) }),
    ),
  ]);
  const asked = [...new Set(offsets.flat().map(({ topic }) => topic))];
  const bounds = new Map<string, ReadonlyMap<number, Bounds>>();
  await inPool(asked, MAX_AT_ONCE, async (topic) => {
    const found = await admin.fetchTopicOffsets(topic);
    bounds.set(
      topic,
      new Map(found.map(({ partition, low, high }) => [partition, { low: BigInt(low), end: BigInt(high) }])),
    );
  });
  return groups.map(({ group, service, topics, isFromStart }, index) => {
    const known = described.groups.find(({ groupId }) => groupId === group);
    const lags = (offsets[index] ?? []).map(({ topic, partitions }) =>
      lagOf(topic, partitions, bounds.get(topic) ?? new Map(), isFromStart),
    );
    return {
      group,
      service,
      state: known?.state ?? 'Unknown',
      members: known?.members.length ?? 0,
      lag: sum(lags.map(({ lag }) => lag)),
      topics: lags.toSorted((a, b) => b.lag - a.lag || (a.topic < b.topic ? -1 : 1)),
      topics_omitted: Math.max(0, topics.length - MAX_TOPICS),
    };
  });
}

function lagOf(
  topic: string,
  committed: readonly { readonly partition: number; readonly offset: string }[],
  bounds: ReadonlyMap<number, Bounds>,
  isFromStart: boolean,
): TopicLag {
  const offsets = new Map(committed.map(({ partition, offset }) => [partition, BigInt(offset)]));
  const partitions = [...bounds]
    .map(([partition, { low, end }]) => {
      const committed = offsets.get(partition) ?? -1n;
      const next = committed >= 0n ? committed : isFromStart ? low : undefined;
      return { partition, lag: next === undefined ? null : Math.max(0, Number(end - next)) };
    })
    .sort((a, b) => a.partition - b.partition);
  return { topic, lag: sum(partitions.map(({ lag }) => lag ?? 0)), partitions };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

async function inPool<Item>(
  items: readonly Item[],
  size: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = [...items];
  await Promise.all(
    Array.from({ length: Math.min(size, items.length) }, async () => {
      for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
    }),
  );
}
