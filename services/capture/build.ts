import { findMissingRights } from '../../shared/bulk/role-rights.ts';
import { childrenOf } from '../../shared/catalog/check-account-paths.ts';
import { checkCatalog } from '../../shared/catalog/check-catalog.ts';
import { describeTables, findTable } from '../../shared/catalog/describe-table.ts';
import { type Finding, showFinding } from '../../shared/catalog/finding.ts';
import { sortFindings } from '../../shared/catalog/refused-resources.ts';
import { addSlotMetrics, createSlotWatch } from '../../shared/catalog/slot-health.ts';
import { connectAdmin } from '../../shared/kafka/connect-admin.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { type KafkaAdmin, TOPIC_RESOURCE } from '../../shared/kafka/kafka-client.ts';
import { type AvroSchemaJson, isIncompatibleSchema } from '../../shared/kafka/registry.ts';
import { topicsOf } from '../../shared/kafka/topics.ts';
import { createLockWatch, guardPool } from '../../shared/postgres/lock-watch.ts';
import { ConnectionPool } from '../../shared/postgres/pool.ts';
import { watchPool } from '../../shared/postgres/pool-metrics.ts';
import { SHORT_LOCK_WAITS } from '../../shared/postgres/short-lock-waits.ts';
import { rawTypes, TEXT_SESSION_OPTIONS } from '../../shared/postgres/text-session.ts';
import { captureTransactionalId } from '../../shared/protocol/names.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import type { ServiceContext } from '../../shared/runtime/run-service.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import {
  applicationOf,
  beginService,
  openControlStore,
  openHealth,
  openKafka,
  openRegistry,
} from '../../shared/service/open-parts.ts';
import type { KnownColumns } from './changes/fit-relation.ts';
import type { CaptureConfig } from './config.ts';
import { addCaptureMetrics } from './metrics.ts';
import { createSourceQueries, readSlot } from './replication/source-queries.ts';
import { createCaptureWorker, runSession } from './session.ts';

const MAX_QUEUED_BYTES = 8 * 1024 * 1024;
const HEARTBEAT_INTERVAL_MS = 10_000;
/** Every query here is small, so a longer one means that the connection is dead. */
const QUERY_TIMEOUT_MS = 10_000;
/** The server ends a query before its client stops waiting, so that none keeps a table locked after that. */
const STATEMENT_TIMEOUT_MS = 9_000;
/** Kafka's default, for a broker that does not report its own. */
const DEFAULT_MAX_MESSAGE_BYTES = 1_048_588;

/**
 * Capture keeps its state in the topics. It needs the control store only for records that have their parents' accounts.
 */
export async function buildCapture(config: CaptureConfig, context: ServiceContext): Promise<Worker[]> {
  const { cleanup, log, health } = context;
  const catalog = await beginService(context, config, 'capture', ['acceptedGapAfter', 'misfitGraceMs']);
  const topics = topicsOf(config.topicPrefix, catalog);

  // One connection each for snapshots, heartbeats and catalog queries.
  const pool = cleanup.adopt(
    new ConnectionPool({
      connectionString: config.sourceUrl.reveal(),
      // One more for reading the accounts of parents.
      max: 4,
      application_name: applicationOf('capture'),
      options: `${TEXT_SESSION_OPTIONS} ${SHORT_LOCK_WAITS} -c statement_timeout=${STATEMENT_TIMEOUT_MS}`,
      types: rawTypes,
      query_timeout: QUERY_TIMEOUT_MS,
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
    }),
    (each) => each.end(),
  );
  pool.on('error', (error) => log.warn('source_connection.lost', { error }));
  watchPool(health.metrics, 'source', pool);
  guardPool(
    pool,
    cleanup.use(
      createLockWatch({
        databaseUrl: config.sourceUrl,
        applicationName: applicationOf('capture', 'lock watch'),
        log,
      }),
    ),
  );
  const source = createSourceQueries(pool);
  // Read before the check, so that a rename in between is found by one of the two.
  const knownColumns: KnownColumns = new Map();
  const described = await describeTables(
    source,
    catalog.resources.map(({ table }) => table),
  );
  for (const { name, table } of catalog.resources) {
    const columns = findTable(described, table)?.columns.filter(({ isGenerated }) => !isGenerated) ?? [];
    knownColumns.set(name, new Set(columns.map((column) => column.name)));
  }
  const findings = await checkCatalog(source, catalog, { publication: config.publicationName });
  const rights = await findMissingRights(source, catalog, 'stream');
  const ofRole = rights.filter(({ resource }) => resource === undefined);
  if (ofRole.length > 0) throw new SetupError('a right is missing', ofRole.map(showFinding));
  // One table must not stop the feed of all others. If another instance runs, the catalog is new, and a mistake in it
  // must not stop that instance.
  const isRunning = (await readSlot(source, config.slotName))?.activePid != null;
  const isOfOneResource = ({ resource }: Finding) => resource !== undefined;
  const { preparable, refused } = sortFindings(catalog, findings);
  if (findings.length > 0 && (isRunning || !findings.every(isOfOneResource)))
    throw new SetupError('the catalog does not fit the source', findings.map(showFinding));
  for (const finding of findings) {
    log.error('catalog.unfit', { resource: finding.resource, finding: showFinding(finding) });
    // The present columns may include a hidden one under another name.
    if (finding.code === 'missing_column') knownColumns.set(finding.resource ?? '', new Set());
  }

  const kafka = openKafka(context, config, 'capture');
  const admin = await connectAdmin(kafka, config.kafka);
  let maxMessageBytes: number;
  try {
    await ensureTopics(admin, topics.declarations, { settings: config.topicSettings, log });
    maxMessageBytes = await readMaxMessageBytes(admin, topics.changes);
  } finally {
    await admin.disconnect();
  }

  const { registry, codec, subjects } = openRegistry(context, config);
  const register = async (subject: string, schema: AvroSchemaJson) => {
    try {
      await registry.register(subject, schema);
    } catch (error) {
      if (!isIncompatibleSchema(error)) throw error;
      log.warn('schema.incompatible', { subject, effect: 'readers with the old schema need the new one' });
      await registry.registerIncompatible(subject, schema);
    }
    return registry.registered(subject, schema);
  };

  await openHealth(context, config);

  const sessionConfig = {
    ...config,
    transactionalId: captureTransactionalId(config.topicPrefix),
    maxQueuedBytes: MAX_QUEUED_BYTES,
    maxMessageBytes,
    heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS,
  };
  const metrics = addCaptureMetrics(health.metrics, {
    resources: catalog.resources.map(({ name }) => name),
    now: Date.now,
  });
  const changesPartitionCount =
    topics.declarations.find(({ name }) => name === topics.changes)?.partitions ?? 1;
  const routes =
    childrenOf(catalog).length === 0
      ? undefined
      : { pool, control: await openControlStore(context, config, 'capture'), onRead: metrics.pathsRead };
  const deps = {
    source,
    routes,
    kafka,
    codec,
    catalog,
    knownColumns,
    topics,
    changesPartitionCount,
    register,
    subjects,
    unfitForStart: refused.size < catalog.resources.length ? preparable : findings,
    refused: [...refused.keys()],
    ensureTopics: async () => {
      const sessionAdmin = await connectAdmin(kafka, config.kafka);
      try {
        await ensureTopics(sessionAdmin, topics.declarations, { settings: config.topicSettings });
      } finally {
        await sessionAdmin.disconnect();
      }
    },
    misfitTimes: new Map(),
    resumeHistory: new Map(),
    onSetAsides: metrics.listSetAsides,
    metrics,
    log,
  };
  const slot = { slotName: config.slotName, thresholds: config.slotThresholds };
  const slotWatch = createSlotWatch(source, slot, { log, now: Date.now });
  addSlotMetrics(health.metrics, slotWatch);
  return [
    slotWatch,
    createCaptureWorker({
      async runSession(onStreaming, signal) {
        let streaming: { ended(): void } | undefined;
        const begun = () => {
          streaming = metrics.streaming();
          onStreaming();
        };
        try {
          await runSession(sessionConfig, { ...deps, onStreaming: begun }, signal);
        } finally {
          streaming?.ended();
        }
      },
      log,
    }),
  ];
}

async function readMaxMessageBytes(admin: KafkaAdmin, topic: string): Promise<number> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: TOPIC_RESOURCE, name: topic, configNames: ['max.message.bytes'] }],
  });
  return Number(resources[0]?.configEntries[0]?.configValue ?? DEFAULT_MAX_MESSAGE_BYTES);
}
