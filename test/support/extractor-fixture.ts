import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Consumer, Kafka, logLevel } from 'kafkajs';
import type pg from 'pg';
import { buildExtractor } from '../../services/extractor/build.ts';
import { readExtractorConfig } from '../../services/extractor/config.ts';
import { describePublication } from '../../shared/catalog/describe-source.ts';
import { parseCatalog } from '../../shared/catalog/load-catalog.ts';
import { planPublication } from '../../shared/catalog/publication-plan.ts';
import { migrate } from '../../shared/control/migrate.ts';
import { newId } from '../../shared/domain/ids.ts';
import { createRegistry } from '../../shared/kafka/registry.ts';
import { createControlPool } from '../../shared/postgres/pool.ts';
import { type RowHeaders, readRowHeaders } from '../../shared/protocol/headers.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { guardTransitions } from './guard-transitions.ts';
import { CLIENT_ENV } from './kafka-client.ts';
import { spawnService, startService } from './services.ts';
import { createControlDatabase, testStack, topicPrefix } from './stack.ts';
import { waitFor } from './wait-for.ts';

/** A record of a rows topic, decoded by an Avro library that is not ours. */
export interface SentRow {
  readonly resource: string;
  readonly partition: number;
  readonly headers: RowHeaders;
  readonly key: string;
  readonly value: Record<string, unknown>;
}

export interface ExportRow {
  status: string;
  phase: string;
  attempt: number;
  run_attempt: number;
  run_count: number;
  setback_runs: number;
  gave_way_runs: number;
  rows_extracted: string;
  snapshot: { taken_at: string; lsn: string; xmin: string; xmax: string; xip: string[] } | null;
  start_lsn: string | null;
  seal_token: string | null;
  planned_at: Date | null;
  error: { code: string; message: string } | null;
}

/**
 * A source and control store in one database, rows topics of their own, and any number of extractors in this process or in
 * others. The feed is played: `feed_state` says that everything is settled, and `seal` answers the seals.
 */
export interface ExtractorFixture extends AsyncDisposable {
  /** Source and control store. */
  readonly db: pg.Pool;
  readonly env: Record<string, string>;
  addAccount(sourceId: string, options?: { maxRunning?: number }): Promise<string>;
  addExport(
    accountId: string | null,
    resources: string[],
    request?: Record<string, unknown>,
    rowsEstimated?: number,
  ): Promise<string>;
  readExport(id: string): Promise<ExportRow>;
  /** Answers every seal that was sent by an export that still runs. */
  seal(): Promise<void>;
  /** Runs an extractor in this process until the fixture is disposed or the returned function is called. */
  startExtractor(settings?: Record<string, string>): Promise<() => Promise<void>>;
  /** Starts an extractor as a process of its own. */
  spawnExtractor(settings?: Record<string, string>): ChildProcess;
  /** Lets what killed extractors held of an export be claimed at once: the last seconds of a lease teach nothing. */
  endLeases(exportId: string): Promise<void>;
  /** The same for the chunks alone, where the export's holder lives and must not lose its run. */
  endChunkLeases(exportId: string): Promise<void>;
  /** The rows of an export as the writer would keep them: of each chunk the try that counts, each row once, in order. */
  keptRows(exportId: string): Promise<SentRow[]>;
  /** Starts to read the rows topics, from their beginning. `keptRows` does so by itself. */
  listen(): Promise<void>;
  /** Everything that was read from the rows topics so far. */
  sentRows(): readonly SentRow[];
}

/** @param place a source that is there already, and the prefix of its topics */
export async function createExtractorFixture(
  catalog: string,
  sql: string,
  place?: { readonly url: string; readonly prefix: string },
): Promise<ExtractorFixture> {
  const cleanup = new AsyncDisposableStack();
  const url = place?.url ?? cleanup.use(await createControlDatabase('extractor')).url;
  const { kafkaBrokers, schemaRegistryUrl } = testStack();
  const folder = await mkdtemp(join(tmpdir(), 'tandem-extractor-'));
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'catalog.yaml'), catalog);
  const env: Record<string, string> = {
    DATABASE_URL: url,
    ...CLIENT_ENV,
    KAFKA_BROKERS: kafkaBrokers,
    SCHEMA_REGISTRY_URL: schemaRegistryUrl,
    CATALOG: join(folder, 'catalog.yaml'),
    TOPIC_PREFIX: place?.prefix ?? topicPrefix(),
  };
  const db = cleanup.adopt(createControlPool(url, silentLog, { applicationName: 'test' }), (pool) =>
    pool.end(),
  );
  await migrate(db);
  await guardTransitions(db);
  await db.query(sql);
  // Exports of tables that no publication has are refused. A given source may have one of its own by that name.
  const { resources } = parseCatalog(catalog, 'catalog.yaml');
  const name = readExtractorConfig(env).publicationName;
  const plan = planPublication(
    name,
    await describePublication(db, name),
    resources.map(({ table }) => table),
  );
  for (const statement of plan) await db.query(statement);
  await db.query(
    `insert into feed_state (settled_lsn, passed_lsn, system_id, timeline, updated_at)
     select 'FFFFFFF/0', 'FFFFFFF/0', system_identifier::text,
       ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer, now()
     from pg_control_system()`,
  );

  const sent: SentRow[] = [];
  const extractors = cleanup.use(new AsyncDisposableStack());
  let consumer: Consumer | undefined;
  cleanup.defer(async () => consumer?.disconnect());

  async function startConsumer(): Promise<void> {
    if (consumer !== undefined) return;
    const kafka = new Kafka({ brokers: kafkaBrokers.split(','), logLevel: logLevel.NOTHING });
    const registry = createRegistry(schemaRegistryUrl);
    consumer = kafka.consumer({ groupId: `${env.TOPIC_PREFIX}.test`, allowAutoTopicCreation: false });
    await consumer.connect();
    await consumer.subscribe({
      topics: [new RegExp(`^${env.TOPIC_PREFIX}\\.rows\\.`)],
      fromBeginning: true,
    });
    await consumer.run({
      eachMessage: async ({ topic, partition, message }) => {
        const headers = readRowHeaders(message.headers);
        if (headers === undefined || message.value === null) throw new Error('not an extracted row');
        sent.push({
          resource: topic.split('.').at(-1) ?? '',
          partition,
          headers,
          key: String(message.key),
          value: (await registry.decode(message.value)) as Record<string, unknown>,
        });
      },
    });
  }

  async function endChunkLeases(exportId: string): Promise<void> {
    await db.query(
      `update export_chunks set lease_expires_at = now() where export_id = $1 and state = 'reading'`,
      [exportId],
    );
  }

  return {
    db,
    env,
    async addAccount(sourceId, { maxRunning = 3 } = {}) {
      const id = newId('acct');
      await db.query(
        'insert into accounts (id, name, source_id, max_running_exports) values ($1, $2, $2, $3)',
        [id, sourceId, maxRunning],
      );
      return id;
    },
    async addExport(accountId, resources, request = {}, rowsEstimated = undefined) {
      const id = newId('exp');
      await db.query(
        `insert into exports (id, account_id, request, resources, rows_estimated, status, phase)
         values ($1, $2, $3, $4, $5, 'pending', 'queued')`,
        [
          id,
          accountId,
          JSON.stringify({ resources, include_deleted: false, ...request }),
          resources,
          rowsEstimated ?? null,
        ],
      );
      return id;
    },
    async readExport(id) {
      const { rows } = await db.query<ExportRow>('select * from exports where id = $1', [id]);
      if (rows[0] === undefined) throw new Error(`no export ${id}`);
      return rows[0];
    },
    async seal() {
      await db.query(
        `/* arranged */ update exports set sealed_lsn = pg_current_wal_insert_lsn()
         where status = 'running' and seal_token is not null and sealed_lsn is null`,
      );
    },
    async startExtractor(settings = {}) {
      const config = readExtractorConfig({ ...env, ...settings });
      const { stop } = extractors.use(await startService((context) => buildExtractor(config, context)));
      return stop;
    },
    spawnExtractor(settings = {}) {
      return extractors.use(spawnService('extractor', { ...env, ...settings })).child;
    },
    async endLeases(exportId) {
      await db.query('update exports set lease_expires_at = now() where id = $1', [exportId]);
      await endChunkLeases(exportId);
    },
    endChunkLeases,
    async keptRows(exportId) {
      await startConsumer();
      const { rows: chunks } = await db.query<{
        resource: string;
        chunk: number;
        attempt: number;
        rows_planned: string;
      }>(
        'select resource, chunk, attempt, rows_planned from export_chunks where export_id = $1 order by 1, 2',
        [exportId],
      );
      return chunks.reduce<Promise<SentRow[]>>(async (before, { resource, chunk, attempt, rows_planned }) => {
        const kept = await before;
        const wanted = Number(rows_planned);
        const found = await waitFor(`the rows of chunk ${chunk} of ${resource}`, () => {
          const bySeq = new Map<number, SentRow>();
          for (const row of sent) {
            const { headers } = row;
            if (row.resource !== resource || headers.exportId !== exportId) continue;
            if (headers.chunk === chunk && headers.attempt === attempt) bySeq.set(headers.seq, row);
          }
          return bySeq.size === wanted ? bySeq : undefined;
        });
        const inOrder = [...found.entries()].sort(([a], [b]) => a - b).map(([, row]) => row);
        return [...kept, ...inOrder];
      }, Promise.resolve([]));
    },
    listen: startConsumer,
    sentRows: () => sent,
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}
