import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import type pg from 'pg';
import { buildWriter } from '../../services/writer/build.ts';
import { readWriterConfig } from '../../services/writer/config.ts';
import { createScratch } from '../../services/writer/files/scratch.ts';
import { parseCatalog } from '../../shared/catalog/load-catalog.ts';
import type { ExportFile } from '../../shared/control/exports/assembly.ts';
import { newId } from '../../shared/domain/ids.ts';
import type { RowType } from '../../shared/domain/row-type.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { createRegistry } from '../../shared/kafka/registry.ts';
import { topicsOf } from '../../shared/kafka/topics.ts';
import { createControlPool } from '../../shared/postgres/pool.ts';
import { type RowHeaders, toKafkaHeaders } from '../../shared/protocol/headers.ts';
import { rowsGroup } from '../../shared/protocol/names.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { createFileStorage } from '../../shared/storage/file-storage.ts';
import type { Storage } from '../../shared/storage/storage.ts';
import { createRowCodec } from '../../shared/values/row-codec.ts';
import { removeMembers } from './group-members.ts';
import { guardTransitions } from './guard-transitions.ts';
import { CLIENT_ENV } from './kafka-client.ts';
import { spawnService, startService } from './services.ts';
import { createControlDatabase, testStack, topicPrefix } from './stack.ts';
import { waitFor } from './wait-for.ts';

const CATALOG = `
catalog: shop
resources:
  orders:
    table: shop.orders
    event: order
    key: [id]
    account: account_id
  lines:
    table: shop.lines
    event: line
    key: [id]
    account: account_id
`;

const rowTypeOf = (resource: string): RowType => ({
  resource,
  columns: [
    { name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true },
    { name: 'memo', type: { kind: 'string', pgName: 'text' }, isKey: false },
  ],
});

/** Which row of which try; `resource` is orders unless given. */
export interface TestRow extends Pick<RowHeaders, 'exportId' | 'chunk' | 'attempt' | 'seq' | 'isLast'> {
  readonly resource?: string;
}

export interface ExportState {
  status: string;
  phase: string;
  rows_written: string;
  files: ExportFile[] | null;
  error: { code: string; message: string } | null;
  expires_at: Date | null;
}

/**
 * A control store, rows topics and storage of their own, with any number of writers in this process or in others.
 * The extractor is played: chunks are rows of the control store, and their rows are produced by hand.
 */
export interface WriterFixture extends AsyncDisposable {
  readonly db: pg.Pool;
  readonly storage: Storage;
  readonly storageRoot: string;
  /** A running export whose chunks have these numbers of rows. Each is at attempt 1. */
  addExport(chunks: Record<string, readonly number[]>, request?: Record<string, unknown>): Promise<string>;
  /** Makes the columns of a resource known that has no rows, as the extractor does. */
  registerRows(resource: string): Promise<void>;
  /** Exports that a writer keeps something for on the local disk. */
  scratchExports(): Promise<string[]>;
  /** Sends rows in this order; each chunk's are on its partition. */
  produce(rows: readonly TestRow[]): Promise<void>;
  /** Takes away what is in a rows topic: by deleting its records, or with the topic, which is then made again. */
  loseRows(resource: string, how: 'deleted' | 'made again'): Promise<void>;
  /** Every chunk is extracted, all are known, and the feed has passed the seal. */
  finishReading(exportId: string): Promise<void>;
  read(exportId: string): Promise<ExportState>;
  /** The export once it is in a final state. */
  ended(exportId: string): Promise<ExportState>;
  outbox(exportId: string): Promise<string[]>;
  fileContent(file: ExportFile): Promise<Buffer>;
  /** Paths of all parts that are committed. */
  partPaths(exportId: string): Promise<string[]>;
  /** Runs a writer in this process until the fixture is disposed or the returned function is called. */
  startWriter(): Promise<() => Promise<void>>;
  /** Starts a writer as a process of its own. */
  spawnWriter(): ChildProcess;
  /** After all writers were killed: their partitions are free at once. */
  removeWriters(): Promise<void>;
}

/** The rows of one try at one chunk, in order, the last one marked. */
export function chunkRows(
  exportId: string,
  chunk: number,
  rowCount: number,
  { attempt = 1, resource = 'orders' } = {},
): TestRow[] {
  return Array.from({ length: rowCount }, (_, seq) => ({
    exportId,
    chunk,
    attempt,
    resource,
    seq,
    isLast: seq === rowCount - 1,
  }));
}

const idOf = (chunk: number, seq: number) => chunk * 1_000_000 + seq;
const memoOf = (chunk: number, seq: number) => `row ${seq} of chunk ${chunk}, “quoted”\n`;

/** What the file of a resource with these chunks has to be. */
export function expectedContent(chunks: readonly number[]): string {
  return chunks
    .flatMap((rowCount, chunk) =>
      Array.from({ length: rowCount }, (_, seq) =>
        JSON.stringify({ id: idOf(chunk, seq), memo: memoOf(chunk, seq) }),
      ),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** The settings come on top of the writers' own; whoever gives another `STORAGE_URL` gives the storage that is behind it. */
export async function createWriterFixture(
  settings: Readonly<Record<string, string>> = {},
  givenStorage?: Storage,
): Promise<WriterFixture> {
  const cleanup = new AsyncDisposableStack();
  const database = cleanup.use(await createControlDatabase('writer'));
  const { kafkaBrokers, schemaRegistryUrl } = testStack();
  const folder = await mkdtemp(join(tmpdir(), 'tandem-writer-'));
  cleanup.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  await writeFile(join(folder, 'catalog.yaml'), CATALOG);
  const prefix = topicPrefix();
  const env: Record<string, string> = {
    CONTROL_DATABASE_URL: database.url,
    ...CLIENT_ENV,
    KAFKA_BROKERS: kafkaBrokers,
    SCHEMA_REGISTRY_URL: schemaRegistryUrl,
    STORAGE_URL: pathToFileURL(join(folder, 'storage')).href,
    CATALOG: join(folder, 'catalog.yaml'),
    TOPIC_PREFIX: prefix,
    WRITER_SCRATCH_DIR: join(folder, 'scratch'),
    ...settings,
  };
  const storageRoot = join(folder, 'storage');
  const storage = givenStorage ?? createFileStorage(storageRoot);
  const db = cleanup.adopt(createControlPool(database.url, silentLog, { applicationName: 'test' }), (pool) =>
    pool.end(),
  );
  await guardTransitions(db);

  const topics = topicsOf(prefix, parseCatalog(CATALOG, 'catalog.yaml'));
  const kafka = new Kafka({ brokers: kafkaBrokers.split(','), logLevel: logLevel.NOTHING });
  const admin = cleanup.adopt(kafka.admin(), (each) => each.disconnect());
  await admin.connect();
  await ensureTopics(admin, topics.declarations);
  const producer = cleanup.adopt(
    kafka.producer({ idempotent: true, createPartitioner: Partitioners.DefaultPartitioner }),
    (each) => each.disconnect(),
  );
  await producer.connect();
  const registry = createRegistry(schemaRegistryUrl);
  const encoders = new Map<string, (chunk: number, seq: number) => Buffer>();
  for (const resource of ['orders', 'lines']) {
    const codec = createRowCodec(rowTypeOf(resource), {
      namespace: `tandem.shop.${resource}`,
      record: 'Row',
    });
    const id = await registry.register(`${topics.rows(resource)}-value`, codec.schema);
    encoders.set(resource, (chunk, seq) => codec.encode([String(idOf(chunk, seq)), memoOf(chunk, seq)], id));
  }
  const partitionCount =
    topics.declarations.find(({ name }) => name === topics.rows('orders'))?.partitions ?? 1;

  const writers = cleanup.use(new AsyncDisposableStack());
  const read = async (id: string): Promise<ExportState> => {
    const { rows } = await db.query<ExportState>('select * from exports where id = $1', [id]);
    if (rows[0] === undefined) throw new Error(`no export ${id}`);
    return rows[0];
  };

  return {
    db,
    storage,
    storageRoot,
    async addExport(chunks, request = {}) {
      const id = newId('exp');
      const resources = Object.keys(chunks);
      await db.query(
        `insert into exports (id, request, resources, status, phase, attempt, run_attempt, snapshot)
         values ($1, $2, $3, 'running', 'extracting', 1, 1, '{"lsn": "0/1", "xmin": "1", "xmax": "1", "xip": []}')`,
        [id, JSON.stringify({ resources, format: 'jsonl', compression: 'none', ...request }), resources],
      );
      for (const [resource, sizes] of Object.entries(chunks)) {
        for (const [chunk, rowCount] of sizes.entries()) {
          await db.query(
            `insert into export_chunks (export_id, resource, chunk, run_attempt, attempt, state, snapshot_name, rows_planned)
             values ($1, $2, $3, 1, 1, 'reading', 's', $4)`,
            [id, resource, chunk, rowCount],
          );
        }
      }
      return id;
    },
    async registerRows(resource) {
      const { schema } = createRowCodec(rowTypeOf(resource), {
        namespace: `tandem.shop.${resource}`,
        record: 'Row',
      });
      await registry.register(`${topics.rows(resource)}-value`, schema);
    },
    scratchExports: () => createScratch(join(folder, 'scratch')).listExports(),
    async produce(rows) {
      for (let at = 0; at < rows.length; at += 2_000) {
        const byTopic = Map.groupBy(rows.slice(at, at + 2_000), ({ resource = 'orders' }) => resource);
        for (const [resource, part] of byTopic) {
          await producer.send({
            topic: topics.rows(resource),
            messages: part.map((row) => ({
              key: JSON.stringify([String(idOf(row.chunk, row.seq))]),
              value: encoders.get(resource)?.(row.chunk, row.seq) ?? null,
              headers: toKafkaHeaders({ ...row, account: 'acme' }),
              partition: row.chunk % partitionCount,
            })),
          });
        }
      }
    },
    async loseRows(resource, how) {
      const topic = topics.rows(resource);
      // kafkajs deletes only of topics that it has looked at.
      const offsets = await waitFor('the topic to have leaders', () =>
        admin.fetchTopicOffsets(topic).catch(() => undefined),
      );
      if (how === 'deleted') {
        const partitions = offsets.map(({ partition }) => ({ partition, offset: '-1' }));
        await admin.deleteTopicRecords({ topic, partitions });
        return;
      }
      await admin.deleteTopics({ topics: [topic] });
      await waitFor('the topic to be gone', async () => !(await admin.listTopics()).includes(topic));
      await ensureTopics(admin, topics.declarations);
    },
    async finishReading(exportId) {
      await db.query(
        `/* arranged */ update export_chunks set state = 'extracted', rows_extracted = rows_planned where export_id = $1`,
        [exportId],
      );
      await db.query(`update exports set planned_at = now(), sealed_lsn = '0/2' where id = $1`, [exportId]);
    },
    read,
    ended: (exportId) =>
      waitFor<ExportState | undefined>(`export ${exportId} to end`, async () => {
        const state = await read(exportId);
        return ['completed', 'failed', 'cancelled'].includes(state.status) ? state : undefined;
      }),
    async outbox(exportId) {
      const { rows } = await db.query<{ type: string }>(
        'select type from outbox where key = $1 order by id',
        [exportId],
      );
      return rows.map(({ type }) => type);
    },
    fileContent: async ({ path }) => buffer(await storage.openRead(path)),
    async partPaths(exportId) {
      const paths: string[] = [];
      for await (const { path } of storage.list(`parts/${exportId}`)) paths.push(path);
      return paths;
    },
    async startWriter() {
      const config = readWriterConfig(env);
      const { stop } = writers.use(await startService((context) => buildWriter(config, context)));
      return stop;
    },
    spawnWriter: () => writers.use(spawnService('writer', env)).child,
    removeWriters: () => removeMembers(kafkaBrokers, rowsGroup(prefix)),
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}
