import type { RequestListener } from 'node:http';
import Koa from 'koa';
import type { Log } from '../../shared/runtime/log.ts';
import { isTracing } from '../../shared/runtime/tracing.ts';
import { type AccountOverviewDeps, accountOverviewRoutes } from './account/routes.ts';
import { type AccountDeps, accountRoutes } from './admin/account-routes.ts';
import { type AuditDeps, auditRoutes } from './admin/audit-routes.ts';
import { type HealthDeps, healthRoutes, isStoreUp } from './admin/health-routes.ts';
import { type MetricsDeps, metricsRoutes } from './admin/metrics-routes.ts';
import { type OperatorSessionDeps, operatorSessionRoutes } from './admin/operator-session-routes.ts';
import { type PortalDeps, portalRoutes } from './admin/portal-routes.ts';
import { type SourceDeps, sourceRoutes } from './admin/source-routes.ts';
import { type BulkFileDeps, bulkFileRoutes } from './bulk/file-routes.ts';
import { type BulkJobDeps, bulkJobRoutes } from './bulk/job-routes.ts';
import { type BulkDeps, bulkRoutes } from './bulk/routes.ts';
import { type CatalogDeps, catalogRoutes } from './catalog/routes.ts';
import { createProblemPage } from './dashboard/frame/problem-page.ts';
import { createSessionCookies } from './dashboard/frame/session-cookie.ts';
import { createSessions, type SessionDeps } from './dashboard/frame/sessions.ts';
import { createOperatorCookie } from './dashboard/operator/operator-cookie.ts';
import { enterAsOperator, operatorRoutes } from './dashboard/operator/operator-routes.ts';
import { createOperatorSessions } from './dashboard/operator/operator-sessions.ts';
import { type DashboardDeps, dashboardRoutes } from './dashboard/routes.ts';
import { docsPageRoutes } from './docs/page-routes.ts';
import { docsRoutes } from './docs/routes.ts';
import { type FeedDeps, feedRoutes } from './events/feed-routes.ts';
import { createReadRecorder } from './events/record-read.ts';
import { type EventDeps, eventRoutes } from './events/routes.ts';
import { chunkRoutes } from './exports/chunk-routes.ts';
import type { ExportFileDeps } from './exports/download.ts';
import { exportFileRoutes } from './exports/file-routes.ts';
import { type ExportDeps, exportRoutes } from './exports/routes.ts';
import { createOperationCaller } from './http/call-operation.ts';
import { allowOrigins } from './http/cors.ts';
import { errorHandler } from './http/error-handler.ts';
import { createLateness, type NextLateness } from './http/late-refusal.ts';
import { type MountDeps, mountRoutes } from './http/mount-routes.ts';
import { pacePublic } from './http/pace-public.ts';
import type { ProblemPage } from './http/problem.ts';
import { createRefusalLines } from './http/refusal-lines.ts';
import { refuseOverLimit } from './http/refuse-over-limit.ts';
import type { Route } from './http/route.ts';
import { traceRequests } from './http/trace-requests.ts';
import { type KeyDeps, keyRoutes } from './keys/routes.ts';
import { createRequestMeter, measureRequests } from './metrics.ts';
import { type Assets, createAssets } from './pages/assets.ts';
import { type StatusRouteDeps, statusRoutes } from './status/routes.ts';
import { type AttemptDeps, attemptRoutes } from './webhooks/attempt-routes.ts';
import { type DeliveryDeps, deliveryRoutes } from './webhooks/delivery-routes.ts';
import { type EventDeliveryDeps, eventDeliveryRoutes } from './webhooks/event-delivery-routes.ts';
import { type ReplayDeps, replayRoutes } from './webhooks/replay-routes.ts';
import { type WebhookDeps, webhookRoutes } from './webhooks/routes.ts';
import { type StatsDeps, statsRoutes } from './webhooks/stats-routes.ts';

/** The needs of each feature. No feature gets another's. */
export interface AppDeps {
  readonly log: Log;
  readonly version: string;
  /** Origins whose pages may call the API from a browser. */
  readonly corsOrigins: readonly string[];
  /** What every request needs. */
  readonly http: MountDeps;
  readonly exports: ExportDeps & ExportFileDeps;
  readonly bulk: BulkDeps & BulkJobDeps & BulkFileDeps;
  readonly webhooks: WebhookDeps & DeliveryDeps & EventDeliveryDeps & ReplayDeps & AttemptDeps & StatsDeps;
  readonly events: EventDeps & FeedDeps;
  readonly account: AccountOverviewDeps & KeyDeps;
  readonly catalog: CatalogDeps;
  readonly admin: AccountDeps &
    PortalDeps &
    Omit<OperatorSessionDeps, 'adminKey'> &
    AuditDeps &
    SourceDeps &
    MetricsDeps &
    HealthDeps;
  readonly status: Pick<StatusRouteDeps, 'read'>;
  readonly dashboard: Pick<DashboardDeps, 'frameAncestors' | 'refreshUrl' | 'live' | 'now'> &
    Pick<SessionDeps, 'reservedPool' | 'idleSeconds' | 'lifetimeSeconds'>;
}

/** Every route, with those of the documents about them. */
export function routesOf(deps: Omit<AppDeps, 'log' | 'dashboard' | 'corsOrigins'>): Route[] {
  const { version, http, exports, bulk, webhooks, events, account, catalog, admin, status } = deps;
  const recordRead = createReadRecorder(events);
  const routes: Route[] = [
    ...exportRoutes(exports),
    ...exportFileRoutes(exports),
    ...chunkRoutes(exports),
    ...webhookRoutes(webhooks),
    ...deliveryRoutes(webhooks),
    ...eventDeliveryRoutes(webhooks),
    ...replayRoutes(webhooks),
    ...attemptRoutes(webhooks, recordRead),
    ...statsRoutes(webhooks),
    ...eventRoutes(events, recordRead),
    ...feedRoutes(events),
    ...bulkRoutes(bulk),
    ...bulkJobRoutes(bulk),
    ...bulkFileRoutes(bulk),
    ...accountOverviewRoutes(account),
    ...keyRoutes(account),
    ...catalogRoutes(catalog),
    ...accountRoutes(admin),
    ...portalRoutes(admin),
    ...operatorSessionRoutes({ ...admin, adminKey: http.adminKey }),
    ...auditRoutes(admin),
    ...sourceRoutes(admin),
    ...statusRoutes({ ...admin, ...status, catalog: exports.catalog, now: webhooks.now }),
    ...metricsRoutes(admin),
    ...healthRoutes(admin),
  ];
  return [...routes, ...docsRoutes(routes, { version, urls: http.urls, catalog: exports.catalog })];
}

/** The dashboard asks the routes of the API, with the rights of its sessions. */
function dashboardOf(routes: readonly Route[], { http, dashboard }: AppDeps, assets: Assets): Route[] {
  const { urls, pool, adminKey, keys, limiter, requestLimits } = http;
  const isHttpsOnly = () => urls.origin()?.startsWith('https:') === true;
  const shared = {
    now: dashboard.now,
    live: dashboard.live,
    to: { href: urls.path, asset: assets.path },
    callOperation: createOperationCaller(routes, http),
    publicOrigin: urls.origin,
  };
  const operator = {
    ...shared,
    operatorSessions: createOperatorSessions({ ...dashboard, pool, adminKey }),
    operatorCookie: createOperatorCookie(isHttpsOnly),
  };
  const accountPages = dashboardRoutes({
    ...dashboard,
    ...shared,
    adminKey,
    keys: limiter.limitKeys(keys),
    limiter,
    entryFormMs: requestLimits.entryFormMs,
    sessions: createSessions({ ...dashboard, pool }),
    cookies: createSessionCookies(isHttpsOnly),
    enterAsOperator: (request, form) => enterAsOperator(request, form, operator),
  });
  return [...accountPages, ...operatorRoutes(operator)];
}

/** The whole API, which does not listen yet. */
export interface App {
  callback(): RequestListener;
  /** What a browser is shown of a request that could not be read. */
  readonly pageOf: ProblemPage;
  /** The delay of all refusals together, those of unread requests too. */
  readonly nextLateness: NextLateness;
}

export function createApp(deps: AppDeps): App {
  const { log, version, http, exports, admin } = deps;
  const assets = createAssets();
  const routes = routesOf(deps);
  const pages = docsPageRoutes(routes, { version, urls: http.urls, catalog: exports.catalog, assets });
  const mounted = mountRoutes(
    [...routes, ...pages, ...dashboardOf(routes, deps, assets), assets.route],
    http,
  );
  const to = { href: http.urls.path, asset: assets.path };
  const pageOf = createProblemPage({ to, frameAncestors: deps.dashboard.frameAncestors });
  const app = new Koa();
  // An error that reaches Koa itself happened after the response had begun.
  app.on('error', (error: Error) => {
    if (isClientGone(error)) log.debug('response.broken_off', { error });
    else log.warn('response.broken_off', { error });
  });
  const { urls, limiter } = http;
  const crossOrigin = allowOrigins(deps.corsOrigins, urls.prefix);
  const beginRequest = createRequestMeter(admin.metrics);
  const nextLateness = createLateness(http.requestLimits.refusalMs);
  const lines = createRefusalLines();
  if (isTracing()) app.use(traceRequests());
  app.use(measureRequests(beginRequest));
  app.use(crossOrigin.middleware);
  app.use(
    errorHandler({
      log,
      routes: mounted,
      isStoreUp: () => isStoreUp(admin.reservedPool),
      urls,
      nextLateness,
      lines,
      pageOf,
    }),
  );
  app.use(mounted.middleware);
  const refuser = { limiter, routes: mounted, nextLateness, beginRequest, crossOrigin, lines, urls };
  return {
    callback: () => refuseOverLimit(pacePublic(app.callback(), { routes: mounted, urls }), refuser),
    pageOf,
    nextLateness,
  };
}

/** Error codes of a client that left while the response was being sent. */
const GONE = new Set([
  'ECONNRESET',
  'EPIPE',
  'ECANCELED',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_STREAM_DESTROYED',
]);

function isClientGone(error: Error): boolean {
  return 'code' in error && GONE.has(String(error.code));
}
