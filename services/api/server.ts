import Koa from 'koa';
import type { Log } from '../../shared/runtime/log.ts';
import { type AccountDeps, accountRoutes } from './admin/account-routes.ts';
import { type AuditDeps, auditRoutes } from './admin/audit-routes.ts';
import { type HealthDeps, healthRoutes, isStoreUp } from './admin/health-routes.ts';
import { type MetricsDeps, metricsRoutes } from './admin/metrics-routes.ts';
import { type SourceDeps, sourceRoutes } from './admin/source-routes.ts';
import { type BulkFileDeps, bulkFileRoutes } from './bulk/file-routes.ts';
import { bulkJobRoutes } from './bulk/job-routes.ts';
import { bulkRoutes } from './bulk/routes.ts';
import { docsRoutes } from './docs/routes.ts';
import { type FeedDeps, feedRoutes } from './events/feed-routes.ts';
import { type EventDeps, eventRoutes } from './events/routes.ts';
import { type ExportFileDeps, exportFileRoutes } from './exports/file-routes.ts';
import { type ExportDeps, exportRoutes } from './exports/routes.ts';
import { type AccountRequestLimits, createAccountLimiter } from './http/account-limiter.ts';
import { errorHandler } from './http/error-handler.ts';
import { type MountDeps, mountRoutes } from './http/mount-routes.ts';
import type { Route } from './http/route.ts';
import { type DeliveryDeps, deliveryRoutes } from './webhooks/delivery-routes.ts';
import { type WebhookDeps, webhookRoutes } from './webhooks/routes.ts';

type RouteDeps = MountDeps &
  AccountDeps &
  ExportDeps &
  ExportFileDeps &
  WebhookDeps &
  DeliveryDeps &
  AuditDeps &
  EventDeps &
  FeedDeps &
  BulkFileDeps &
  MetricsDeps &
  SourceDeps &
  HealthDeps & { readonly log: Log; readonly version: string };

export type AppDeps = Omit<RouteDeps, 'limiter'> & { readonly accountLimits: AccountRequestLimits };

/** The whole API over what it needs; listening is the caller's. */
export function createApp({ accountLimits, ...others }: AppDeps): Koa {
  const deps: RouteDeps = { ...others, limiter: createAccountLimiter(accountLimits) };
  const routes: Route[] = [
    ...exportRoutes(deps),
    ...exportFileRoutes(deps),
    ...webhookRoutes(deps),
    ...deliveryRoutes(deps),
    ...eventRoutes(deps),
    ...feedRoutes(deps),
    ...bulkRoutes(deps),
    ...bulkJobRoutes(deps),
    ...bulkFileRoutes(deps),
    ...accountRoutes(deps),
    ...auditRoutes(deps),
    ...sourceRoutes(deps),
    ...metricsRoutes(deps),
    ...healthRoutes(deps),
  ];
  const { middleware, allowedMethods } = mountRoutes([...routes, ...docsRoutes(routes, deps)], deps);
  const app = new Koa();
  // What reaches Koa itself went wrong after the response had begun.
  app.on('error', (error: Error) => {
    if (isClientGone(error)) deps.log.debug('response.broken_off', { error });
    else deps.log.warn('response.broken_off', { error });
  });
  app.use(
    errorHandler(
      deps.log,
      allowedMethods,
      () => isStoreUp(deps.doorPool),
      () => deps.urls.prefix(),
      deps.requestLimits.refusalMs,
    ),
  );
  app.use(middleware);
  return app;
}

/** What a client's leaving looks like to whoever was writing to it. */
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
