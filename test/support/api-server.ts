import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type pg from 'pg';
import { findAccount } from '../../services/api/admin/accounts.ts';
import { createFeedGuard } from '../../services/api/admin/feed-guard.ts';
import { createSourceFacts } from '../../services/api/admin/source-facts.ts';
import { createUnfitResources } from '../../services/api/admin/unfit-resources.ts';
import { createActiveSessions } from '../../services/api/dashboard/active-sessions.ts';
import { createLiveHub, type LiveLimits } from '../../services/api/dashboard/frame/live-hub.ts';
import { createPresigner } from '../../services/api/exports/download.ts';
import { type AccountRequestLimits, createAccountLimiter } from '../../services/api/http/account-limiter.ts';
import { SCOPES } from '../../services/api/http/caller.ts';
import { openHttpListener } from '../../services/api/http/http-listener.ts';
import { createKeyStore } from '../../services/api/http/key-lookup.ts';
import { createPublicUrls } from '../../services/api/http/public-urls.ts';
import { REQUEST_LIMITS } from '../../services/api/http/request-limits.ts';
import type { ReaderLimits } from '../../services/api/http/slow-reader.ts';
import { addStatusMetrics } from '../../services/api/metrics.ts';
import { type AppDeps, createApp } from '../../services/api/server.ts';
import { createStatusReader, type StatusDeps } from '../../services/api/status/status-reader.ts';
import { createSourcePool } from '../../shared/bulk/source-pool.ts';
import { loadCatalog } from '../../shared/catalog/load-catalog.ts';
import { findOpenTransactions, findOwnSessions } from '../../shared/catalog/open-transactions.ts';
import { createControlPool } from '../../shared/postgres/pool.ts';
import { Secret } from '../../shared/runtime/env.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { createMetrics } from '../../shared/runtime/metrics.ts';
import { createSecretBox, WEBHOOK_SECRETS } from '../../shared/runtime/secret-box.ts';
import { createSigner } from '../../shared/runtime/signing.ts';
import { createFileStorage } from '../../shared/storage/file-storage.ts';
import type { Storage } from '../../shared/storage/storage.ts';
import { guardTransitions } from './guard-transitions.ts';
import { openProductPool } from './product-pool.ts';
import { createControlDatabase } from './stack.ts';

export const ADMIN_KEY = 'operator-of-these-tests';
export const SECRET_KEY = 'a key of thirty-two characters!!';

/** A response as a client reads it. */
export interface ApiReply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; undefined when it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read responses freely.
  readonly json: any;
}

export interface TestApi extends AsyncDisposable {
  readonly url: string;
  /** Of source and control store. */
  readonly databaseUrl: string;
  readonly storageUrl: string;
  readonly pool: pg.Pool;
  /** What probes and keys are asked by, whatever the requests do with `pool`. */
  readonly doorPool: pg.Pool;
  readonly storage: Storage;
  readonly box: ReturnType<typeof createSecretBox>;
  /** The time that the api believes it is; a test may set it. */
  clock: { nowMs: number | undefined };
  call(method: string, path: string, options?: CallOptions): Promise<ApiReply>;
  /** By the operator's key. */
  operator(method: string, path: string, body?: unknown): Promise<ApiReply>;
  /** A new account with a key of these scopes, or of all. */
  account(scopes?: readonly string[]): Promise<{ id: string; key: string; sourceId: string }>;
}

export interface CallOptions {
  readonly key?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

/** Parts and settings that a test chooses itself. */
export interface ApiOverrides
  extends Partial<Omit<AppDeps['http'], 'limiter'>>,
    Partial<Pick<AppDeps['exports'], 'catalog' | 'maxQueuedExports'>>,
    Partial<
      Pick<
        AppDeps['bulk'],
        | 'maxQueuedBulk'
        | 'storage'
        | 'log'
        | 'syncApplyMs'
        | 'syncApplyLimits'
        | 'handlerKeys'
        | 'syncHandlerMs'
      >
    >,
    Partial<Pick<AppDeps['webhooks'], 'deliveryRules' | 'secretBox'>>,
    Partial<Pick<AppDeps['admin'], 'slotName' | 'slotWatch'>> {
  readonly status?: Partial<Pick<StatusDeps, 'ownSessions' | 'consumerLag' | 'now'>>;
  readonly dashboard?: Partial<AppDeps['dashboard']> & { readonly liveLimits?: Partial<LiveLimits> };
  readonly corsOrigins?: AppDeps['corsOrigins'];
  readonly doorPool?: AppDeps['admin']['reservedPool'];
  readonly accountLimits?: Partial<AccountRequestLimits>;
  readonly readerLimits?: ReaderLimits;
  /** Of the pool that changes the source, and how long one is waited for. */
  readonly connections?: { readonly source: number; readonly waitMs: number };
}

/** The api over a database of its own, without Kafka: what it would send stays in the outbox. */
export async function openTestApi({ connections, ...overrides }: ApiOverrides = {}): Promise<TestApi> {
  const cleanup = new AsyncDisposableStack();
  const database = cleanup.use(await createControlDatabase('api'));
  const pool = cleanup.adopt(
    createControlPool(database.url, silentLog, { applicationName: 'test' }),
    async (control) => {
      if (!control.ended) await control.end();
    },
  );
  await guardTransitions(pool);
  const doorPool = cleanup.adopt(
    createControlPool(database.url, silentLog, { applicationName: 'test reserved', max: 2 }),
    async (reserved) => {
      if (!reserved.ended) await reserved.end();
    },
  );
  const source = cleanup.adopt(openProductPool({ connectionString: database.url, max: 2 }), (open) =>
    open.end(),
  );
  const bulkSource = cleanup.adopt(
    createSourcePool(new Secret(database.url), silentLog, {
      applicationName: 'test bulk',
      max: connections?.source ?? 3,
      ...(connections === undefined ? {} : { connectTimeoutMs: connections.waitMs }),
    }),
    (open) => open.end(),
  );
  const root = cleanup.adopt(await mkdtemp(join(tmpdir(), 'tandem-api-')), (path) =>
    rm(path, { recursive: true }),
  );
  const storage = createFileStorage(root);
  const catalog = await loadCatalog('schemas/catalogs/documint.yaml');
  const clock: { nowMs: number | undefined } = { nowMs: undefined };
  const now = () => clock.nowMs ?? Date.now();
  const box = createSecretBox(SECRET_KEY, WEBHOOK_SECRETS);
  // Tests leave requests open that nobody waits for, and ask for much that is refused.
  const requestLimits = { ...REQUEST_LIMITS, drainMs: 0, refusalMs: 0, ...overrides.requestLimits };
  let url = '';
  const urls = overrides.urls ?? createPublicUrls(() => url);
  const presigner = createPresigner(createSigner(SECRET_KEY, 'downloads'), () => urls.absolute('/files'));
  const unseen = { latest: () => undefined };
  const sourceFacts = createSourceFacts(overrides.catalog ?? catalog, { source, log: silentLog, now });
  const shared = {
    pool: overrides.pool ?? pool,
    catalog: overrides.catalog ?? catalog,
    storage: overrides.storage ?? storage,
    cursorSigner: createSigner(SECRET_KEY, 'cursors'),
    limiter: createAccountLimiter({
      requestsPerSecond: 100_000,
      requestsPerMinute: 0,
      maxOpen: 1_000,
      maxRunning: 8,
      maxDownloads: 16,
      ...overrides.accountLimits,
    }),
    feedGuard: createFeedGuard(overrides.slotWatch ?? unseen),
    notifyRelay: () => undefined,
    unfit: createUnfitResources(overrides.catalog ?? catalog, { source: sourceFacts, now }),
    retention: () => ({ nowMs: now(), eventRetentionDays: 30 }),
    now,
  };
  const { maxBodyBytes = 10_000, maxQueuedExports = 3, maxQueuedBulk = 3 } = overrides;
  const log = overrides.log ?? silentLog;
  const { liveLimits = {}, ...dashboardOverrides } = overrides.dashboard ?? {};
  const idleSeconds = dashboardOverrides.idleSeconds ?? 1_800;
  const live = createLiveHub({
    findActive: createActiveSessions({
      reservedPool: overrides.doorPool ?? doorPool,
      idleSeconds,
      adminKey: overrides.adminKey ?? new Secret(ADMIN_KEY),
    }),
    limiter: shared.limiter,
    log,
    limits: liveLimits,
  });
  const dashboard = {
    reservedPool: overrides.doorPool ?? doorPool,
    idleSeconds,
    lifetimeSeconds: 28_800,
    frameAncestors: [],
    refreshUrl: undefined,
    live,
    now,
    ...dashboardOverrides,
  };
  const sourceDeps = {
    openTransactions: () => findOpenTransactions((sql) => source.query(sql)).catch(() => undefined),
    slotWatch: overrides.slotWatch ?? unseen,
    slotName: overrides.slotName ?? 'test',
    slotThresholds: { warnBytes: 1_000_000_000, refuseBytes: 8_000_000_000 },
  };
  const readStatus = createStatusReader({
    ...sourceDeps,
    pool: overrides.doorPool ?? doorPool,
    ownSessions: () => findOwnSessions(source, sourceDeps.slotName),
    consumerLag: () => Promise.reject(new Error('this api has no Kafka')),
    log,
    now,
    ...overrides.status,
  });
  const metrics = createMetrics();
  addStatusMetrics(metrics, readStatus);
  const app = createApp({
    log,
    version: 'test',
    corsOrigins: overrides.corsOrigins ?? [],
    http: {
      ...shared,
      adminKey: overrides.adminKey ?? new Secret(ADMIN_KEY),
      keys: overrides.keys ?? createKeyStore(doorPool, pool),
      accountExists: overrides.accountExists ?? (async (id) => (await findAccount(pool, id)) !== undefined),
      responseBox: overrides.responseBox ?? createSecretBox(SECRET_KEY, 'idempotent-answers'),
      maxBodyBytes,
      requestLimits,
      urls,
    },
    exports: {
      ...shared,
      source: sourceFacts,
      maxQueuedExports,
      presigner,
      links: presigner,
      urlLifetimeMs: 24 * 60 * 60 * 1_000,
      urls,
    },
    bulk: {
      ...shared,
      source: bulkSource,
      maxQueuedBulk,
      syncHandlerMs: overrides.syncHandlerMs ?? 2_000,
      handlerKeys: overrides.handlerKeys ?? [],
      syncApplyMs: overrides.syncApplyMs ?? 20_000,
      syncApplyLimits: overrides.syncApplyLimits ?? { max: 4, perAccount: 2, waitMs: 5_000 },
      requestLimits,
      log,
    },
    webhooks: {
      ...shared,
      deliveryRules: overrides.deliveryRules ?? { allowNetworks: [], allowHttp: false },
      secretBox: overrides.secretBox ?? box,
    },
    events: shared,
    account: { ...shared, maxQueuedExports, maxQueuedBulk, maxBodyBytes },
    catalog: { ...shared, source: sourceFacts },
    admin: {
      ...shared,
      reservedPool: overrides.doorPool ?? doorPool,
      source: sourceFacts,
      ...sourceDeps,
      isRelayRunning: () => true,
      metrics,
      urls,
      portalIdleSeconds: dashboard.idleSeconds,
    },
    status: { read: readStatus },
    dashboard,
  });
  const listener = cleanup.adopt(
    await openHttpListener(app.callback(), 0, '127.0.0.1', requestLimits, {
      urls,
      pageOf: app.pageOf,
      nextLateness: app.nextLateness,
      ...(overrides.readerLimits === undefined ? {} : { readerLimits: overrides.readerLimits }),
    }),
    (open) => open.close(),
  );
  cleanup.defer(() => live.close());
  url = `http://127.0.0.1:${listener.port}`;

  const call: TestApi['call'] = async (method, path, { key, body, headers = {} } = {}) => {
    const isText = typeof body === 'string';
    const response = await fetch(path.startsWith('http') ? path : `${url}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: isText ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true && text !== '';
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson ? parse(text) : undefined,
    };
  };
  let count = 0;
  return {
    url,
    databaseUrl: database.url,
    storageUrl: pathToFileURL(root).href,
    pool,
    doorPool,
    storage,
    box,
    clock,
    call,
    operator: (method, path, body) =>
      call(method, path, { key: ADMIN_KEY, ...(body === undefined ? {} : { body }) }),
    async account(scopes) {
      count += 1;
      const sourceId = `source_${count}`;
      const made = await call('POST', '/admin/accounts', {
        key: ADMIN_KEY,
        body: { name: `Account ${count}`, source_id: sourceId },
      });
      const key = await call('POST', `/admin/accounts/${made.json.id}/keys`, {
        key: ADMIN_KEY,
        body: { scopes: scopes ?? SCOPES },
      });
      return { id: made.json.id, key: key.json.key, sourceId };
    },
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
