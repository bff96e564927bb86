import { checkCatalog } from '../../shared/catalog/check-catalog.ts';
import { showFinding } from '../../shared/catalog/finding.ts';
import { readKeyLimits } from '../../shared/catalog/key-limits.ts';
import { type Refusal, sortFindings, withoutRefused } from '../../shared/catalog/refused-resources.ts';
import type { Catalog } from '../../shared/domain/catalog.ts';
import { createAnnouncer } from '../../shared/kafka/announcer.ts';
import { connectAdmin } from '../../shared/kafka/connect-admin.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { createRecordedChanges } from '../../shared/kafka/recorded-changes.ts';
import { topicsOf } from '../../shared/kafka/topics.ts';
import { createListener } from '../../shared/postgres/listen.ts';
import { createLockWatch } from '../../shared/postgres/lock-watch.ts';
import { Session } from '../../shared/postgres/session.ts';
import { SHORT_LOCK_WAITS } from '../../shared/postgres/short-lock-waits.ts';
import { commandsGroup, recorderGroup, SEALS_CHANNEL } from '../../shared/protocol/names.ts';
import type { Secret } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import type { Log } from '../../shared/runtime/log.ts';
import type { ServiceContext } from '../../shared/runtime/run-service.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import {
  applicationOf,
  beginService,
  leaseOwner,
  openControlStore,
  openHealth,
  openKafka,
  openRegistry,
} from '../../shared/service/open-parts.ts';
import { createHistoryWatch } from './as-of/table-history.ts';
import { createChunkReader } from './chunk/read-chunks.ts';
import { createReadRows } from './chunk/read-rows.ts';
import { createRowProducers } from './chunk/send-rows.ts';
import { createSchemaWarmer } from './chunk/warm-schemas.ts';
import type { ExtractorConfig } from './config.ts';
import { createExportHolder } from './export/hold-exports.ts';
import { createSharedSources } from './export/share-sources.ts';
import { addExtractorMetrics } from './metrics.ts';
import { createCommandNotifiers, createNotifiers } from './notifiers.ts';
import { createRefusals } from './plan/refusals.ts';
import { createResourceRows } from './plan/resource-rows.ts';
import { createReadSessions } from './source/read-sessions.ts';
import { createSourceSessions } from './source/source-session.ts';
import { createReplicaWatch } from './source/watch-replicas.ts';
import { createFeedStateReader, findSetAside } from './store/feed-state.ts';
import { createSuspectPlace } from './suspect-place.ts';

/** Runs of an export before it fails. */
const MAX_RUNS = 5;

/**
 * The extractor: takes snapshots, plans chunks and reads them into Kafka. Any number of processes may run in parallel.
 */
export async function buildExtractor(config: ExtractorConfig, context: ServiceContext): Promise<Worker[]> {
  const { cleanup, log, health } = context;
  const catalog = await beginService(context, config, 'extractor', [
    'maxExports',
    'maxChunks',
    'maxAllAccountExports',
    'chunkWindow',
    'chunkBytes',
    'exportTimeoutMs',
    'chunkTimeoutMs',
    'feedTimeoutMs',
    'settleTimeoutMs',
    'chunkedExportRows',
  ]);
  const control = await openControlStore(context, config, 'extractor');
  const refused = await checkSource(config.sourceUrl, catalog, await findSetAside(control), log);

  const kafka = openKafka(context, config, 'extractor');
  const topics = topicsOf(config.topicPrefix, catalog);
  const admin = cleanup.adopt(await connectAdmin(kafka, config.kafka), (client) => client.disconnect());
  const partitions = await ensureTopics(admin, topics.declarations, { settings: config.topicSettings, log });
  const ends = cleanup.adopt(kafka.uncommittedAdmin(), (client) => client.disconnect());
  await ends.connect();
  const producer = cleanup.adopt(kafka.producer(), (p) => p.disconnect());
  await producer.connect();

  const { registry, codec } = openRegistry(context, config);
  const announcer = createAnnouncer(producer, codec, log);
  const producers = cleanup.use(createRowProducers(kafka, config.kafka.client, log));
  const lockWatch = cleanup.use(
    createLockWatch({
      databaseUrl: config.sourceUrl,
      applicationName: applicationOf('extractor', 'lock watch'),
      log,
    }),
  );
  const openSession = cleanup.use(createSourceSessions(config.sourceUrl, { lockWatch }));
  const replicas = config.readUrls.map((url) => cleanup.use(createSourceSessions(url, { role: 'replica' })));
  const readSessions = createReadSessions(openSession, replicas, log);
  const notifiers = createNotifiers();
  const owner = leaseOwner();
  const monotonicMs = performance.now.bind(performance);
  const metrics = addExtractorMetrics(health.metrics, monotonicMs);
  const replicaWatch = createReplicaWatch({
    openPrimary: openSession,
    openReplicas: replicas,
    now: monotonicMs,
    log,
  });
  metrics.watchReplicas(replicaWatch);

  const resourceRows = createResourceRows(registry, `tandem.${catalog.name}`, topics.rows);
  const suspects = createSuspectPlace();
  const holder = createExportHolder(
    owner,
    { ...config, planTimeoutMs: config.exportTimeoutMs, limits: limitsOf(config) },
    suspects,
    {
      control,
      openSession,
      sharedSources: createSharedSources(openSession, log),
      readFeedState: createFeedStateReader(control),
      readSessions,
      catalog,
      notifiers,
      resourceRows,
      refusals: createRefusals(catalog, refused),
      log,
      holdSnapshot: metrics.holdSnapshot,
      recordedChanges: createRecordedChanges(ends, topics.changes, recorderGroup(config.topicPrefix)),
      announceChunk: ({ exportId, resource, chunk, runAttempt }) =>
        announcer.announce(topics.commands, 'ExtractChunk', exportId, {
          job_id: exportId,
          resource,
          chunk,
          run_attempt: runAttempt,
        }),
    },
  );
  const reader = createChunkReader(owner, config, suspects, {
    control,
    openSession,
    readSessions,
    catalog,
    producers,
    readRows: createReadRows(config.pgReader),
    notifiers,
    log,
    resourceRows,
    onExtracted: metrics.extracted,
    holdSnapshot: metrics.holdSnapshot,
    ensureTopics: () => ensureTopics(admin, topics.declarations, { settings: config.topicSettings }),
    topicOf: (resource) => ({
      name: topics.rows(resource),
      partitionCount: partitions.get(topics.rows(resource)) ?? 1,
    }),
    announceExtracted: ({ exportId, resource, chunk, attempt }, rows) =>
      announcer.announce(topics.jobs, 'ChunkExtracted', exportId, {
        job_id: exportId,
        resource,
        chunk,
        attempt,
        rows,
      }),
  });
  const history = createHistoryWatch({
    control,
    openSession,
    catalog,
    publicationName: config.publicationName,
    log,
  });
  const warmer = createSchemaWarmer({
    openSession,
    catalog: withoutRefused(catalog, refused),
    resourceRows,
    log,
  });
  const commands = createCommandNotifiers(
    kafka,
    commandsGroup(config.topicPrefix),
    topics.commands,
    notifiers,
  );

  const wakeUps = createListener({
    databaseUrl: config.controlUrl,
    applicationName: applicationOf('extractor', 'wake-ups'),
    channels: [SEALS_CHANNEL],
    onNotification: (_, exportId) => notifiers.notifyChange(exportId),
    // Waiting holders also poll, a few times a second.
    onListening: () => undefined,
    log,
  });

  await openHealth(context, config);
  return [
    commands,
    wakeUps,
    holder,
    reader,
    history,
    warmer,
    ...(replicas.length === 0 ? [] : [replicaWatch]),
  ];
}

/**
 * Checks the tables. A resource that can't be exported exactly must not stop the others: its exports fail, and capture
 * checks it too.
 *
 * @returns these resources, each with what is wrong
 * @throws SetupError with everything that keeps the catalog's other tables from being exported exactly
 */
async function checkSource(
  sourceUrl: Secret,
  catalog: Catalog,
  setAside: ReadonlySet<string>,
  log: Log,
): Promise<ReadonlyMap<string, Refusal>> {
  const client = new Session({
    connectionString: sourceUrl.reveal(),
    application_name: applicationOf('extractor', 'check'),
    options: SHORT_LOCK_WAITS,
    connectionTimeoutMillis: 10_000,
  });
  await client.connect();
  try {
    const findings = await checkCatalog(client, catalog);
    const { ofSource, preparable, refused } = sortFindings(catalog, findings);
    const isAnyLeft = refused.size < catalog.resources.length || setAside.size > 0;
    const unprepared = preparable.filter(({ resource = '' }) => !setAside.has(resource));
    if (ofSource.length + unprepared.length > 0 || !isAnyLeft) {
      throw new SetupError('the catalog does not fit the source', findings.map(showFinding));
    }
    for (const [resource, { text }] of refused) log.error('catalog.unfit', { resource, finding: text });
    for (const limit of await readKeyLimits(client, catalog)) log.warn('catalog.key_limit', { limit });
    return refused;
  } finally {
    await client.end();
  }
}

function limitsOf({ maxAllAccountExports }: ExtractorConfig) {
  return { maxRunningOfAllAccounts: maxAllAccountExports, maxRuns: MAX_RUNS };
}
