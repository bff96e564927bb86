import type pg from 'pg';
import { toSigningKeys } from '../../shared/bulk/handler-secrets.ts';
import { findMissingRights, reportMissingRights } from '../../shared/bulk/role-rights.ts';
import { createSourcePool as createBulkSourcePool } from '../../shared/bulk/source-pool.ts';
import { findOpenTransactions, findOwnSessions } from '../../shared/catalog/open-transactions.ts';
import { addSlotMetrics, createSlotWatch } from '../../shared/catalog/slot-health.ts';
import { connectAdmin } from '../../shared/kafka/connect-admin.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { topicsOf } from '../../shared/kafka/topics.ts';
import { createLockWatch, guardPool } from '../../shared/postgres/lock-watch.ts';
import { ConnectionPool } from '../../shared/postgres/pool.ts';
import { watchPool } from '../../shared/postgres/pool-metrics.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { createNotifier } from '../../shared/runtime/notifier.ts';
import type { ServiceContext } from '../../shared/runtime/run-service.ts';
import { createSecretBox, WEBHOOK_SECRETS } from '../../shared/runtime/secret-box.ts';
import { createSigner } from '../../shared/runtime/signing.ts';
import { productVersion } from '../../shared/runtime/version.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import {
  applicationOf,
  beginService,
  openControlStore,
  openKafka,
  openRegistry,
} from '../../shared/service/open-parts.ts';
import { measureStorage } from '../../shared/storage/measure-storage.ts';
import { openStorage } from '../../shared/storage/open-storage.ts';
import { createAccountRespeller } from './admin/account-respeller.ts';
import { findAccount } from './admin/accounts.ts';
import { createFeedGuard } from './admin/feed-guard.ts';
import { createFeedStallWatch } from './admin/feed-stall-watch.ts';
import { readChecks } from './admin/health-routes.ts';
import { createSourceFacts } from './admin/source-facts.ts';
import { createUnfitResources } from './admin/unfit-resources.ts';
import type { ApiConfig } from './config.ts';
import { createActiveSessions } from './dashboard/active-sessions.ts';
import { createLiveHub } from './dashboard/frame/live-hub.ts';
import { createPresigner } from './exports/download.ts';
import { createRetentionSweeper } from './exports/retention-sweeper.ts';
import { createAccountLimiter } from './http/account-limiter.ts';
import { openHttpListener } from './http/http-listener.ts';
import { createKeyStore } from './http/key-lookup.ts';
import { createPublicUrls } from './http/public-urls.ts';
import { REQUEST_LIMITS } from './http/request-limits.ts';
import { addStatusMetrics } from './metrics.ts';
import { createOutboxRelay } from './outbox-relay.ts';
import { openReservedPool } from './reserved-pool.ts';
import { createApp } from './server.ts';
import { createConsumerLag } from './status/consumer-lag.ts';
import { createStatusReader } from './status/status-reader.ts';
import { createSecretResealer } from './webhooks/secret-resealer.ts';

/**
 * Limits of synchronous operations without a handler; others wait. Each uses a connection of the control store. So do
 * those with a handler, at most 8, and both leave connections for other requests.
 */
const SYNC_APPLY_LIMITS = { max: 6, perAccount: 2, waitMs: 5_000 };
const MAX_CONTROL_CONNECTIONS = 20;

/**
 * Limit of concurrent requests of one account, so that two busy accounts leave connections of the control store for
 * others.
 */
const MAX_RUNNING_REQUESTS = 8;

/** More than synchronous operations use at once, so that counts, checks and results have connections too. */
const MAX_BULK_CONNECTIONS = 8;

/**
 * The response must come before connections on its way time out, and before the control store ends an idle
 * transaction (30 s).
 */
const SYNC_APPLY_MS = 20_000;

/** The source only gives estimates and checks: no request waits long for a slow source. */
const SOURCE_TIMEOUT_MS = 1_500;

export async function buildApi(config: ApiConfig, context: ServiceContext): Promise<Worker[]> {
  const { cleanup, log, health } = context;
  const catalog = await beginService(context, config, 'api', [
    'port',
    'publicUrl',
    'adminKey',
    'portalRefreshUrl',
    'portalFrameAncestors',
    'corsOrigins',
    'portalIdleSeconds',
    'portalSessionSeconds',
    'feedStallSeconds',
    'urlLifetimeSeconds',
    'maxBodyBytes',
    'requestsPerSecond',
    'requestsPerMinute',
    'maxOpenRequests',
    'maxDownloads',
    'maxQueuedExports',
    'maxQueuedBulk',
    'syncHandlerMs',
  ]);
  const storage = measureStorage(await openStorage(config.storageUrl), health.metrics);

  const pool = await openControlStore(context, config, 'api', { max: MAX_CONTROL_CONNECTIONS });
  const reservedPool = openReservedPool(context, config);
  const source = cleanup.adopt(createSourcePool(config, log), (connections) => connections.end());
  const bulkSource = cleanup.adopt(
    createBulkSourcePool(config.sourceUrl, log, {
      applicationName: applicationOf('api', 'bulk'),
      max: MAX_BULK_CONNECTIONS,
    }),
    (connections) => connections.end(),
  );
  const lockWatch = cleanup.use(
    createLockWatch({
      databaseUrl: config.sourceUrl,
      applicationName: applicationOf('api', 'lock watch'),
      log,
    }),
  );
  for (const each of [source, bulkSource]) guardPool(each, lockWatch);
  watchPool(health.metrics, 'source', source);
  watchPool(health.metrics, 'source_bulk', bulkSource);

  const kafka = openKafka(context, config, 'api');
  const producer = cleanup.adopt(kafka.producer({ idempotent: true }), (connected) => connected.disconnect());
  const topics = topicsOf(config.topicPrefix, catalog);
  const notifier = createNotifier();
  const relay = createOutboxRelay({
    pool,
    producer,
    codec: openRegistry(context, config).codec,
    topics,
    notifier,
    log,
    async prepare() {
      const admin = await connectAdmin(kafka, config.kafka);
      try {
        await ensureTopics(admin, topics.declarations, { settings: config.topicSettings, log });
      } finally {
        await admin.disconnect();
      }
      await producer.connect();
    },
  });

  const consumerLag = cleanup.use(
    createConsumerLag(kafka, {
      topics,
      prefix: config.topicPrefix,
      resources: catalog.resources.map(({ name }) => name),
    }),
  );

  const slot = { slotName: config.slotName, thresholds: config.slotThresholds };
  const slotWatch = createSlotWatch(source, slot, { log, now: Date.now });
  addSlotMetrics(health.metrics, slotWatch);

  const { current: secretKey, previous: previousKeys } = config.secretKeys;
  const secretBox = createSecretBox(secretKey, WEBHOOK_SECRETS, previousKeys);
  let listensAt = '';
  const urls = createPublicUrls(() => config.publicUrl ?? listensAt, config.publicUrl !== undefined);
  const presigner = createPresigner(createSigner(secretKey, 'downloads', previousKeys), () =>
    urls.absolute('/files'),
  );
  const cursorSigner = createSigner(secretKey, 'cursors', previousKeys);
  const limiter = createAccountLimiter({
    requestsPerSecond: config.requestsPerSecond,
    requestsPerMinute: config.requestsPerMinute,
    maxOpen: config.maxOpenRequests,
    maxRunning: MAX_RUNNING_REQUESTS,
    maxDownloads: config.maxDownloads,
  });
  // The api starts even when the source is unavailable.
  void findMissingRights(source, catalog, 'change').then(
    (missing) => reportMissingRights(log, missing),
    (error: unknown) => log.warn('source.not_asked', { error }),
  );
  const sourceFacts = createSourceFacts(catalog, { source, log, now: Date.now });
  const unfit = createUnfitResources(catalog, { source: sourceFacts, now: Date.now });
  const feedGuard = createFeedGuard(slotWatch);
  const notifyRelay = () => notifier.notify();
  const retention = () => ({ nowMs: Date.now(), eventRetentionDays: config.eventRetentionDays });
  const sourceDeps = {
    openTransactions: () => findOpenTransactions((sql) => source.query(sql)).catch(() => undefined),
    slotWatch,
    slotName: config.slotName,
    slotThresholds: config.slotThresholds,
  };
  const readStatus = createStatusReader({
    ...sourceDeps,
    // Also while customers' requests use all other connections.
    pool: reservedPool,
    ownSessions: () => findOwnSessions(source, config.slotName),
    consumerLag: () => consumerLag.read(),
    log,
    now: Date.now,
  });
  addStatusMetrics(health.metrics, readStatus);
  const isRelayRunning = () => relay.isRunning();
  health.isServing = async () =>
    Object.values(await readChecks({ reservedPool, isRelayRunning })).every(Boolean);
  const live = createLiveHub({
    findActive: createActiveSessions({
      reservedPool,
      idleSeconds: config.portalIdleSeconds,
      adminKey: config.adminKey,
    }),
    limiter,
    log,
  });
  const app = createApp({
    log,
    version: productVersion(),
    http: {
      pool,
      adminKey: config.adminKey,
      keys: createKeyStore(reservedPool, pool),
      accountExists: async (id) => (await findAccount(pool, id)) !== undefined,
      responseBox: createSecretBox(secretKey, 'idempotent-answers', previousKeys),
      maxBodyBytes: config.maxBodyBytes,
      requestLimits: REQUEST_LIMITS,
      urls,
      limiter,
    },
    exports: {
      pool,
      catalog,
      storage,
      source: sourceFacts,
      unfit,
      feedGuard,
      retention,
      notifyRelay,
      maxQueuedExports: config.maxQueuedExports,
      presigner,
      links: storage.links ?? presigner,
      urlLifetimeMs: config.urlLifetimeSeconds * 1_000,
      urls,
      cursorSigner,
      limiter,
      now: Date.now,
    },
    bulk: {
      pool,
      catalog,
      storage,
      source: bulkSource,
      unfit,
      feedGuard,
      notifyRelay,
      maxQueuedBulk: config.maxQueuedBulk,
      syncHandlerMs: config.syncHandlerMs,
      handlerKeys: toSigningKeys(config.handlerSecrets),
      syncApplyMs: SYNC_APPLY_MS,
      syncApplyLimits: SYNC_APPLY_LIMITS,
      requestLimits: REQUEST_LIMITS,
      cursorSigner,
      limiter,
      log,
      now: Date.now,
    },
    webhooks: {
      pool,
      catalog,
      deliveryRules: { allowNetworks: config.allowNetworks, allowHttp: config.allowHttp },
      secretBox,
      retention,
      cursorSigner,
      now: Date.now,
    },
    events: { pool, catalog, retention, cursorSigner, now: Date.now },
    account: {
      pool,
      limiter,
      maxQueuedExports: config.maxQueuedExports,
      maxQueuedBulk: config.maxQueuedBulk,
      maxBodyBytes: config.maxBodyBytes,
      retention,
      cursorSigner,
      now: Date.now,
    },
    catalog: { catalog, source: sourceFacts, unfit, cursorSigner, now: Date.now },
    admin: {
      pool,
      reservedPool,
      source: sourceFacts,
      ...sourceDeps,
      isRelayRunning,
      metrics: health.metrics,
      cursorSigner,
      urls,
      portalIdleSeconds: config.portalIdleSeconds,
    },
    corsOrigins: config.corsOrigins,
    status: { read: readStatus },
    dashboard: {
      reservedPool,
      idleSeconds: config.portalIdleSeconds,
      lifetimeSeconds: config.portalSessionSeconds,
      frameAncestors: config.portalFrameAncestors,
      refreshUrl: config.portalRefreshUrl,
      live,
      now: Date.now,
    },
  });

  const listener = cleanup.adopt(
    await openHttpListener(app.callback(), config.port, config.host, REQUEST_LIMITS, {
      urls,
      pageOf: app.pageOf,
      nextLateness: app.nextLateness,
    }),
    (open) => open.close(),
  );
  listensAt = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${listener.port}`;
  log.info('service.listening', { host: config.host, port: listener.port, url: urls.absolute('') });
  return [
    listener.worker,
    live.worker,
    relay,
    createSecretResealer({ pool, box: secretBox, hasEarlierKeys: previousKeys.length > 0, log }),
    slotWatch,
    createFeedStallWatch({ pool, slotWatch, stallAfterSeconds: config.feedStallSeconds, log }),
    createRetentionSweeper({ pool, storage, now: Date.now, log }),
    createAccountRespeller({ pool, source, catalog, log }),
  ];
}

function createSourcePool(config: ApiConfig, log: Log): pg.Pool {
  const pool = new ConnectionPool({
    connectionString: config.sourceUrl.reveal(),
    max: 2,
    application_name: applicationOf('api'),
    options: '-c default_transaction_read_only=on',
    statement_timeout: SOURCE_TIMEOUT_MS,
    connectionTimeoutMillis: SOURCE_TIMEOUT_MS,
  });
  pool.on('error', (error) => log.warn('source_connection.lost', { error }));
  return pool;
}
