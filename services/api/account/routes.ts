import type { Pool } from 'pg';
import type { z } from 'zod';
import { readQuota } from '../../../shared/control/bulk/bulk-quota.ts';
import { formatPosition } from '../../../shared/domain/position.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { presentPeriod } from '../admin/account-schemas.ts';
import { type AccountRow, findAccount } from '../admin/accounts.ts';
import { findFeedAge, readFeedStatus } from '../admin/feed-status.ts';
import { findNewestEvent } from '../admin/feed-store.ts';
import { MAX_FILE_BYTES } from '../bulk/file-routes.ts';
import { MAX_BODY_IDS } from '../bulk/item-ids-schema.ts';
import { presentQuota } from '../bulk/response.ts';
import { presentFeedStatus } from '../events/feed-routes.ts';
import type { Retention } from '../exports/feed-start.ts';
import type { AccountLimiter } from '../http/account-limiter.ts';
import { ANY_KEY, type Caller, hasScope, oneAccount } from '../http/caller.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { MAX_WEBHOOKS } from '../webhooks/routes.ts';
import { accountOverviewSchema, EXAMPLE_OVERVIEW, presentBulkJob, presentExportJob } from './response.ts';
import { countWebhooks, findActiveBulkJobs, findActiveExports, findKeyName } from './store.ts';

export interface AccountOverviewDeps {
  readonly pool: Pool;
  readonly limiter: Pick<AccountLimiter, 'limits'>;
  readonly maxQueuedExports: number;
  readonly maxQueuedBulk: number;
  readonly maxBodyBytes: number;
  readonly retention: () => Retention;
  readonly now: () => number;
}

type Overview = z.input<typeof accountOverviewSchema>;

/** What a customer's page or client shows first. A key sees the parts that its scopes allow. */
export function accountOverviewRoutes(deps: AccountOverviewDeps): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/account',
      operationId: 'getAccount',
      tag: 'account',
      summary: 'Show the account: limits, quota, jobs that have not ended, and the state of the feed',
      description:
        'What a page or a client shows first. Any key may ask; a part that the key’s scopes do not allow is null. Limits of requests are those of one API process.',
      example: {},
      access: ANY_KEY,
      account: 'one',
      responses: {
        200: { description: 'The account.', schema: accountOverviewSchema, example: EXAMPLE_OVERVIEW },
      },
      async handle({ accountId, caller }) {
        const id = oneAccount(accountId);
        const account = await findAccount(deps.pool, id);
        if (account === undefined) throw new AppError('not_found', `There is no account ${id}.`);
        return jsonResponse(200, await presentOverview(account, caller, deps));
      },
    }),
  ];
}

async function presentOverview(
  account: AccountRow,
  caller: Caller,
  deps: AccountOverviewDeps,
): Promise<Overview> {
  const { pool } = deps;
  return {
    id: account.id,
    name: account.name,
    created_at: account.created_at.toISOString(),
    key:
      caller.kind === 'account'
        ? { id: caller.keyId, name: await findKeyName(pool, caller.keyId), scopes: [...caller.scopes] }
        : null,
    limits: limitsOf(account, deps),
    bulk_quota: hasScope(caller, 'bulk:read') ? await quotaOf(account, deps) : null,
    exports: hasScope(caller, 'exports:read') ? await exportsOf(pool, account.id) : null,
    bulk_operations: hasScope(caller, 'bulk:read') ? await bulkOf(pool, account.id) : null,
    webhooks: hasScope(caller, 'webhooks:read') ? await countWebhooks(pool, account.id) : null,
    feed: hasScope(caller, 'events:read') ? await feedOf(pool, account.id) : null,
  };
}

function limitsOf(account: AccountRow, deps: AccountOverviewDeps): Overview['limits'] {
  const { requestsPerSecond, requestsPerMinute, maxOpen, maxDownloads } = deps.limiter.limits;
  return {
    max_running_exports: account.max_running_exports,
    max_queued_exports: deps.maxQueuedExports,
    max_running_bulk_operations: account.max_running_bulk,
    max_queued_bulk_operations: deps.maxQueuedBulk,
    max_bulk_ids: MAX_BODY_IDS,
    max_bulk_file_bytes: MAX_FILE_BYTES,
    max_webhooks: MAX_WEBHOOKS,
    max_body_bytes: deps.maxBodyBytes,
    requests_per_second: requestsPerSecond,
    requests_per_minute: requestsPerMinute === 0 ? null : requestsPerMinute,
    max_open_requests: maxOpen,
    max_downloads: maxDownloads,
    event_retention_days: deps.retention().eventRetentionDays,
  };
}

async function quotaOf(
  account: AccountRow,
  { pool, now }: AccountOverviewDeps,
): Promise<Overview['bulk_quota']> {
  return {
    ...presentQuota(await readQuota(pool, account.id, now())),
    period: presentPeriod(account.bulk_quota_period),
  };
}

async function exportsOf(pool: Pool, accountId: string): Promise<Overview['exports']> {
  const { running, queued, paused, jobs } = await findActiveExports(pool, accountId);
  return { running, queued, paused, jobs: jobs.map(presentExportJob) };
}

async function bulkOf(pool: Pool, accountId: string): Promise<Overview['bulk_operations']> {
  const active = await findActiveBulkJobs(pool, accountId);
  const { running, queued, paused } = active;
  return { running, queued, paused, jobs: active.jobs.map(presentBulkJob) };
}

async function feedOf(pool: Pool, accountId: string): Promise<Overview['feed']> {
  const newest = await findNewestEvent(pool, accountId);
  return {
    position: newest === undefined ? null : formatPosition(newest),
    age_seconds: (await findFeedAge(pool)) ?? null,
    ...presentFeedStatus(await readFeedStatus(pool)),
  };
}
