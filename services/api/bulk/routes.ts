import type { KeyObject } from 'node:crypto';
import type { Pool } from 'pg';
import { z } from 'zod';
import { markDuplicates, readItemId } from '../../../shared/bulk/item-ids.ts';
import { mappedNames } from '../../../shared/bulk/public-params.ts';
import { chunkItemsOf } from '../../../shared/control/bulk/bulk-chunks.ts';
import { insertBulkJob, lockActiveBulkJobs } from '../../../shared/control/bulk/queue-jobs.ts';
import { type BulkRequest, type ItemResult, NOT_ATTEMPTED } from '../../../shared/domain/bulk.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { newId } from '../../../shared/domain/ids.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sourceIdOf } from '../admin/accounts.ts';
import type { FeedGuard } from '../admin/feed-guard.ts';
import type { UnfitResources } from '../admin/unfit-resources.ts';
import { recordAudit } from '../http/audit-log.ts';
import { actorOf, hasScope, oneAccount } from '../http/caller.ts';
import type { ConcurrencyLimiter, ConcurrencyLimits } from '../http/concurrency-limiter.ts';
import { readIdempotencyKey } from '../http/idempotency.ts';
import { jsonResponse, type TextResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { askNow } from './ask-now.ts';
import { countOf, dryRunResponse, durationOf, fileOf, sampleOf } from './dry-run.ts';
import { EXAMPLE_ACCEPTED, exampleDone, exampleRequest } from './examples.ts';
import type { RunNow } from './number-items.ts';
import {
  type BulkBody,
  bulkBodyRules,
  bulkBodySchema,
  type CheckedRequest,
  checkBulkRequest,
  MAX_BULK_BODY_BYTES,
  MAX_BULK_BODY_VALUES,
} from './request.ts';
import { bulkAcceptedSchema, bulkDoneSchema, bulkDryRunSchema, presentItem } from './response.ts';
import { forgetRun, ledgerIdOf, runNow } from './run-now.ts';
import { whenSourceResponds } from './source-errors.ts';
import { createApplyLimiter, createHandlerLimiter } from './sync-limiter.ts';

/** Dependencies of `POST /bulk/operations`. */
export interface BulkDeps {
  readonly pool: Pool;
  readonly catalog: Catalog;
  /** Changes and reads the source's rows. */
  readonly source: Pool;
  readonly unfit: Pick<UnfitResources, 'requireFit'>;
  readonly feedGuard: FeedGuard;
  /** Call it after a commit that left messages in the outbox. */
  readonly notifyRelay: () => void;
  /** Limit of an account's queued jobs. */
  readonly maxQueuedBulk: number;
  /** Time limit of a synchronous operation with a handler. */
  readonly syncHandlerMs: number;
  /** Keys that sign requests to handlers. */
  readonly handlerKeys: readonly KeyObject[];
  /** Time limit of a synchronous operation without a handler, and how many may run at once. */
  readonly syncApplyMs: number;
  readonly syncApplyLimits: ConcurrencyLimits;
  readonly log: Log;
  readonly now: () => number;
}

/** Seconds until a client's first poll. */
const RETRY_AFTER_SECONDS = 1;

/** Retry-After of a full queue. */
const QUEUE_RETRY_SECONDS = 30;

/** Items per chunk of a list in the request. */
const CHUNK_ITEMS = 1_000;

/** `POST /bulk/operations`: runs an operation synchronously, creates a bulk job, or estimates. */
export function bulkRoutes(deps: BulkDeps): Route[] {
  const { pool, catalog, source, log } = deps;
  const handlerLimiter = createHandlerLimiter();
  const acquireApply = createApplyLimiter(deps.syncApplyLimits, catalog);
  return [
    defineRoute({
      method: 'POST',
      path: '/bulk/operations',
      operationId: 'createBulkOperation',
      tag: 'bulk',
      summary: 'Run an operation on many records, synchronously or as a bulk job with async: true',
      description:
        'Applies an operation of the catalog to the records that `ids`, `filter` or `file_id` selects. Each item takes effect once, also when the request is repeated with its Idempotency-Key.\n\nWithout `async`, the response has the result of each item; the number of items is limited by resource. With `async: true`, the response is a bulk job. With `dry_run: true`, nothing is changed.',
      example: exampleRequest(catalog),
      problems: {
        not_found: 'There is no file `file_id`, or it has expired.',
        conflict: 'Records of the resource cannot be changed as its table is: `errors` says why.',
        too_many:
          'The quota does not cover the items, the queue of bulk jobs is full (`active_jobs` lists them), or a limit of the account is reached.',
        feed_behind:
          'The change feed is too far behind to accept more work. Wait for the time of `Retry-After`.',
      },
      access: 'bulk:write',
      account: 'one',
      creates: true,
      body: bulkBodySchema(catalog),
      bodyRules: bulkBodyRules,
      maxBodyBytes: MAX_BULK_BODY_BYTES,
      maxBodyValues: MAX_BULK_BODY_VALUES,
      // Columns and handlers may distinguish 1.10 from 1.1, and IDs may exceed a double.
      exactMembers: ['params', 'ids'],
      responses: {
        200: {
          description: 'The result of each item. With dry_run: estimate of items and duration.',
          schema: z.union([bulkDoneSchema, bulkDryRunSchema]).meta({ id: 'BulkResponse' }),
          example: exampleDone(catalog),
        },
        202: {
          description: 'The bulk job.',
          schema: bulkAcceptedSchema,
          example: EXAMPLE_ACCEPTED,
          headers: ['Location', 'Retry-After'],
        },
      },
      handle: ({ body, accountId: named, caller, once, kept, header }) =>
        whenSourceResponds(async () => {
          const accountId = oneAccount(named);
          const ledgerId = ledgerIdOf(accountId, readIdempotencyKey(header('idempotency-key')), body);
          const work = async (db: Queryable, sourceId: string, checked: CheckedRequest) => {
            if (body.dry_run) {
              const sample = await sampleOf(body, checked, sourceId, source);
              // Without the right to read records, only their IDs are shown.
              const shown = hasScope(caller, 'exports:read')
                ? sample
                : sample.map(({ item_id }) => ({ item_id }));
              return dryRunResponse(db, body, checked, accountId, sourceId, shown, source);
            }
            const record = (action: 'bulk.created' | 'bulk.run', subjectId: string, items: number) => {
              const { resource, operation } = body;
              const by = body.filter !== undefined ? 'filter' : body.ids !== undefined ? 'ids' : 'file';
              const details = { resource, operation, by, items };
              return recordAudit(db, { accountId, actor: actorOf(caller), action, subjectId, details });
            };
            if (body.async) {
              deps.feedGuard.requireSlack();
              const job = await acceptJob(db, body, checked, accountId, sourceId, deps);
              await record('bulk.created', job.id, job.estimated);
              return { ...job.response, jobId: job.id };
            }
            const run = { accountId, sourceId, ledgerId, body, checked };
            const results = await runSync(db, run, handlerLimiter, deps);
            await record('bulk.run', ledgerId, results.filter(({ code }) => code !== NOT_ATTEMPTED).length);
            const count = (status: string) => results.filter((result) => result.status === status).length;
            return jsonResponse(200, {
              resource: body.resource,
              operation: body.operation,
              status: 'completed',
              processed: results.length,
              succeeded: count('succeeded'),
              failed: count('failed'),
              skipped: count('skipped'),
              total: results.length,
              results: results.map(presentItem),
            });
          };
          const respondFirst = async () => {
            const release = await acquireApply(body, accountId);
            try {
              // Before the transaction, so that none is open while the source checks the request.
              await deps.unfit.requireFit([body.resource], () => '/resource');
              const sourceId = await sourceIdOf(pool, accountId);
              const checked = await checkBulkRequest(body, catalog, source, sourceId);
              return await once((db) => work(db, sourceId, checked));
            } finally {
              release();
            }
          };
          const response = (await kept()) ?? (await respondFirst());
          if (response.status === 202) deps.notifyRelay();
          else if (!body.dry_run) {
            await forgetRun(source, ledgerId).catch((error: unknown) => {
              log.warn('bulk.run_not_forgotten', { ledgerId, error });
            });
          }
          return response;
        }),
    }),
  ];
}

async function runSync(
  db: Queryable,
  run: RunNow,
  limiter: ConcurrencyLimiter,
  deps: BulkDeps,
): Promise<ItemResult[]> {
  const { pool, source, syncHandlerMs, syncApplyMs } = deps;
  if (run.checked.operation.kind !== 'http') {
    return runNow(db, { pool, source, limitMs: syncApplyMs }, run, deps.now());
  }
  const release = await limiter.acquire(run.accountId);
  try {
    return await askNow(
      db,
      { pool, source, limitMs: syncHandlerMs, signingKeys: deps.handlerKeys },
      run,
      deps.now(),
    );
  } finally {
    release();
  }
}

async function acceptJob(
  db: Queryable,
  body: BulkBody,
  checked: CheckedRequest,
  accountId: string,
  sourceId: string,
  deps: BulkDeps,
): Promise<{ id: string; estimated: number; response: TextResponse }> {
  const file = await fileOf(db, body, accountId);
  await requireQueueSpace(db, accountId, deps.maxQueuedBulk);
  const { table, operation } = checked;
  const items =
    body.ids === undefined ? undefined : markDuplicates(body.ids.map((id) => readItemId(id, table.key)));
  const estimated = items?.length ?? (await countOf(file, checked, sourceId, deps.source));
  const { params, filter = null } = body;
  const request: BulkRequest = {
    resource: body.resource,
    operation: body.operation,
    params,
    filter,
    mapped: mappedNames(table.resource, operation, { params, filter }),
    semantics: body.semantics,
    maxFailures: body.max_failures ?? null,
  };
  const id = newId('blk', deps.now());
  await insertBulkJob(db, {
    id,
    accountId,
    request,
    fileId: file?.id ?? null,
    estimated,
    items,
    chunkItems: chunkItemsOf(
      { isHttp: operation.kind === 'http', maxFailures: request.maxFailures },
      CHUNK_ITEMS,
    ),
  });
  const response = jsonResponse(
    202,
    {
      job_id: id,
      status: 'pending',
      estimated_items: estimated,
      estimated_duration_seconds: await durationOf(db, body, checked, estimated),
    },
    { location: `/bulk/operations/${id}`, 'retry-after': String(RETRY_AFTER_SECONDS) },
  );
  return { id, estimated, response };
}

/** @throws AppError `too_many` with the active jobs */
async function requireQueueSpace(db: Queryable, accountId: string, maxQueued: number): Promise<void> {
  const { active, queuedCount } = await lockActiveBulkJobs(db, accountId);
  if (queuedCount < maxQueued) return;
  throw new AppError(
    'too_many',
    `The account already has ${maxQueued} waiting bulk jobs. Cancel one or try again later.`,
    { retryAfterSeconds: QUEUE_RETRY_SECONDS, extra: { active_jobs: active } },
  );
}
