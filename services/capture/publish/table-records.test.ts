import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { createTableRecords } from '../../../shared/kafka/capture-tables.ts';
import type { ReceivedMessage, TransactionRequest } from '../../../shared/kafka/kafka-client.ts';
import type { MessageCodec } from '../../../shared/kafka/messages.ts';
import { topicsOf } from '../../../shared/kafka/topics.ts';
import { WIRE_HEADER_BYTES } from '../../../shared/values/wire-format.ts';
import { createBatch } from '../changes/collect-changes.ts';
import { type CaptureProgress, fromCaptureState } from './capture-progress.ts';
import { createChangeChain, createPublisher } from './publisher.ts';
import { startAnew } from './resume.ts';
import { createTableListing } from './table-records.ts';

const TOPICS = topicsOf('t', { name: 'c', resources: [] });

const catalogs = new Map<number, Catalog>();

function catalogOf(count: number): Catalog {
  const known = catalogs.get(count);
  if (known !== undefined) return known;
  const lines = Array.from(
    { length: count },
    (_, n) => `  r${n}: { table: s.t${n}, key: [id], account: a, event: e${n} }`,
  );
  const catalog = parseCatalog(`catalog: c\nresources:\n${lines.join('\n')}\n`, 'c.yaml');
  catalogs.set(count, catalog);
  return catalog;
}

/** Another one once the registry had lost the schemas. */
let schemaId = 1;

const read = ({ value }: { value: Buffer | null }) => JSON.parse(String(value?.subarray(WIRE_HEADER_BYTES)));

const codec: MessageCodec = {
  async encode(type, key, value) {
    const header = Buffer.alloc(WIRE_HEADER_BYTES);
    header.writeInt32BE(schemaId, 1);
    return { key, value: Buffer.concat([header, Buffer.from(JSON.stringify(value))]), headers: { type } };
  },
  schemaId: async () => schemaId,
  decode: async (message) => ({ type: message.headers?.type, value: read(message) }) as never,
};

interface LogRecord extends ReceivedMessage {
  readonly key: Buffer;
}

/** The capture topic with a transaction's end after its records. A transaction may be cut off anywhere. */
function createTopic() {
  let committed: LogRecord[] = [];
  let end = 0;
  return {
    get states() {
      return committed.filter(({ headers }) => headers?.type === 'CaptureState');
    },
    /** @param records how many are written before the producer dies; it commits with all */
    async publish(requests: readonly TransactionRequest[], records: number) {
      const written: LogRecord[] = [];
      const places = [];
      for (const request of requests) {
        const messages = typeof request === 'function' ? await request(places) : request;
        const own = messages.flatMap((each) => (each.topic === TOPICS.capture ? each.messages : []));
        if (own.length > 0)
          places.push({ topicName: TOPICS.capture, partition: 0, errorCode: 0, baseOffset: String(end) });
        for (const { key, value, headers = {} } of own) {
          if (written.length >= records) {
            end += 1;
            throw new Error('killed');
          }
          const record = { key: Buffer.from(key ?? ''), value: value as Buffer, headers };
          written.push({ ...record, offset: String(end), timestamp: '0' });
          end += 1;
        }
      }
      end += 1;
      committed.push(...written);
      return [];
    },
    /** The last of each key is left, as the broker's cleaner leaves it. */
    compact() {
      committed = [...new Map(committed.map((record) => [String(record.key), record])).values()].toSorted(
        (a, b) => Number(a.offset) - Number(b.offset),
      );
    },
    readRecords: async (_: string, offsets: readonly number[]) =>
      offsets.map((offset) => committed.find((record) => record.offset === String(offset))),
  };
}

type Topic = ReturnType<typeof createTopic>;

async function resume(topic: Topic): Promise<CaptureProgress | undefined> {
  const last = topic.states.at(-1);
  if (last === undefined) return undefined;
  const state = read(last);
  return fromCaptureState(state, await createTableRecords(topic, codec, TOPICS.capture).of(state));
}

const ANEW = startAnew(undefined, { systemId: '7', timeline: 1, confirmedFlushLsn: 0n }, 1n, 5n);

/** An instance of capture that continues from the topic, up to its death. */
async function start(topic: Topic, resources: number, records: () => number) {
  const stored = await resume(topic);
  const catalog = catalogOf(resources);
  const publisher = createPublisher({
    producers: {
      count: 1,
      publish: (requests) => topic.publish(requests, records()),
      close: async () => undefined,
    },
    codec,
    topics: TOPICS,
    slotName: 's',
    chain: createChangeChain(stored?.chain, 0),
    tables: createTableListing(catalog, stored),
    maxMessageBytes: 1_000_000,
  });
  return { publisher, progress: stored ?? ANEW };
}

const ALL = Number.POSITIVE_INFINITY;

test('a state refers to its tables, which are written once and again when they change', async () => {
  const topic = createTopic();
  const sizes: number[] = [];
  for (const count of [3, 450]) {
    const { publisher, progress } = await start(topic, count, () => ALL);
    const tables = new Map(catalogOf(count).resources.map(({ name }) => [name, `form of ${name}`]));
    await publisher.publish(createBatch(), { ...progress, tables });
    await publisher.publish(createBatch(), { ...progress, tables });
    sizes.push(topic.states.at(-1)?.value?.length ?? 0);
    expect((await resume(topic))?.tables).toEqual(tables);
  }
  const [small = 0, large = 0] = sizes;
  expect(large - small).toBeLessThan(20);
  const before = (await resume(topic))?.tableRecords?.map(({ offset }) => offset) ?? [];
  expect(before.length).toBe(3);
  const { publisher, progress } = await start(topic, 450, () => ALL);
  await publisher.publish(createBatch(), {
    ...progress,
    tables: new Map([...progress.tables, ['r449', 'altered']]),
  });
  topic.compact();
  const after = await resume(topic);
  expect(after?.tables.get('r449')).toBe('altered');
  expect(after?.tables.size).toBe(450);
  expect(after?.tableRecords?.map(({ offset }) => offset).slice(0, 2)).toEqual(before.slice(0, 2));
});

test('wherever an instance dies, and whatever the topic is compacted to, the next has the tables of the last committed state', async () => {
  const step = fc.record({
    resources: fc.constantFrom(1, 199, 200, 201, 450),
    /** Resources that are altered, and to what; several publications of one life. */
    lives: fc.array(fc.array(fc.tuple(fc.nat(449), fc.nat(3)), { maxLength: 3 }), { maxLength: 4 }),
    /** Records of the last publication that are written before the death. */
    records: fc.constantFrom(0, 1, 2, 3, ALL),
    isCompacted: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 6 }), async (steps) => {
      const topic = createTopic();
      let committed: ReadonlyMap<string, string> | undefined;
      for (const { resources, lives, records, isCompacted } of steps) {
        let left = lives.length;
        const { publisher, progress } = await start(topic, resources, () => (left === 0 ? records : ALL));
        expect(progress.areTablesLost).toBeUndefined();
        if (committed !== undefined) expect(progress.tables).toEqual(committed);
        const tables = new Map(progress.tables);
        for (const life of lives) {
          left -= 1;
          for (const [resource, form] of life)
            if (resource < resources) tables.set(`r${resource}`, `form ${form}`);
          const before = topic.states.length;
          await publisher.publish(createBatch(), { ...progress, tables }).catch((error) => {
            if (error.message !== 'killed') throw error;
          });
          if (topic.states.length === before) break;
          // A resource that has left the catalog keeps its form.
          committed = new Map(tables);
        }
        if (isCompacted) topic.compact();
      }
      if (committed !== undefined) expect((await resume(topic))?.tables).toEqual(committed);
    }),
    { numRuns: 100 },
  );
});

test('tables are written again once the registry had lost their schema', async () => {
  const topic = createTopic();
  const { publisher, progress } = await start(topic, 450, () => ALL);
  const tables = new Map(catalogOf(450).resources.map(({ name }) => [name, name]));
  await publisher.publish(createBatch(), { ...progress, tables });
  const offsets = async () => (await resume(topic))?.tableRecords?.map(({ offset }) => offset) ?? [];
  const before = await offsets();
  schemaId += 1;
  await publisher.publish(createBatch(), { ...progress, tables });
  const after = await offsets();
  expect(after).toHaveLength(3);
  expect(Math.min(...after)).toBeGreaterThan(Math.max(...before));
  await publisher.publish(createBatch(), { ...progress, tables });
  expect(await offsets()).toEqual(after);
  // Lost while nothing was published: the next instance finds records of the former schema.
  schemaId += 1;
  const next = await start(topic, 450, () => ALL);
  await next.publisher.publish(createBatch(), next.progress);
  expect(Math.min(...(await offsets()))).toBeGreaterThan(Math.max(...after));
});
