import type { Pool } from 'pg';
import { z } from 'zod';
import { findResultAt, readResults } from '../../../shared/bulk/ledger.ts';
import { readQuota } from '../../../shared/control/bulk/bulk-quota.ts';
import { isEnded } from '../../../shared/control/bulk/pause-job.ts';
import { EXPORT_COMPRESSIONS, FILE_FORMATS } from '../../../shared/domain/export-request.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import { contentTypeOf } from '../../../shared/storage/storage.ts';
import type { AccountLimiter } from '../http/account-limiter.ts';
import { recordAudit } from '../http/audit-log.ts';
import { actorOf, limitedAccountOf } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { PAGE_QUERY, pageResponse, readCursor, writeCursor } from '../http/paging.ts';
import { jsonResponse, type TextResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { listOf, pageOf } from '../http/schema.ts';
import { invalid } from '../http/validate.ts';
import { EXAMPLE_RESULT, exampleJob } from './examples.ts';
import { type JobCommandDeps, jobCommandRoutes } from './job-commands.ts';
import {
  bulkJobSchema,
  bulkStatusSchema,
  itemResultSchema,
  itemStatusSchema,
  presentBulkJob,
  presentItem,
} from './response.ts';
import { createResultsFiles, type ResultsRequest } from './results-file.ts';
import { whenSourceResponds } from './source-errors.ts';
import { type BulkJobRow, finalUntil, listBulkJobs, requireBulkJob } from './store.ts';

/** Dependencies of the routes of bulk jobs. */
export interface BulkJobDeps extends JobCommandDeps {
  /** Holds the ledger. */
  readonly source: Pool;
  readonly cursorSigner: Signer;
  readonly limiter: Pick<AccountLimiter, 'download'>;
}

const MAX_RESULTS = 1_000;
const DEFAULT_RESULTS = 100;

/**
 * Limit of results examined for a page of succeeded results, or of one code. The ledger has no index for these filters:
 * nearly all results succeed, and writing results limits the pace of a job. If few match, pages are short instead of
 * slow.
 */
const MAX_SEEN_RESULTS = 20_000;

const RESULTS_QUERY = z.strictObject({
  ...PAGE_QUERY,
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(MAX_RESULTS)
    .optional()
    .meta({ description: `Results per page. Default: ${DEFAULT_RESULTS}.` }),
  status: itemStatusSchema.optional().meta({ description: 'Only results with this status.' }),
  code: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .meta({ description: 'Only results with this code. For pages of failed or skipped results.' }),
  format: z
    .enum(FILE_FORMATS)
    .optional()
    .meta({ description: 'Returns all results as one file in this format.' }),
  compression: z
    .enum(EXPORT_COMPRESSIONS)
    .optional()
    .meta({ description: 'Compression of a jsonl or csv file.' }),
  csv_safe: z
    .enum(['true', 'false'])
    .optional()
    .meta({ description: 'For csv: puts an apostrophe before cells that a spreadsheet would evaluate.' }),
});

type ResultsQuery = z.output<typeof RESULTS_QUERY>;

/** Content types of a file of results. */
const FILE_TYPES = ['x.jsonl', 'x.csv', 'x.parquet', 'x.gz', 'x.zst'].map(contentTypeOf);

/** Status, results, pause, resume and cancel of bulk jobs. */
export function bulkJobRoutes(deps: BulkJobDeps): Route[] {
  const { pool, cursorSigner } = deps;
  const openResultsFile = createResultsFiles(deps.source, deps.limiter);
  const read = { access: 'bulk:read', account: 'any' } as const;
  const present = async (row: BulkJobRow) =>
    presentBulkJob(row, await readQuota(pool, row.account_id, deps.now()));

  return [
    defineRoute({
      ...read,
      method: 'GET',
      path: '/bulk/operations',
      operationId: 'listBulkOperations',
      tag: 'bulk',
      summary: 'List bulk jobs',
      description: 'Newest first.',
      example: { query: { limit: 10 } },
      query: z.strictObject({
        ...PAGE_QUERY,
        status: bulkStatusSchema.optional().meta({ description: 'Only bulk jobs with this status.' }),
      }),
      responses: {
        200: {
          description: 'Bulk jobs, newest first.',
          schema: listOf(bulkJobSchema),
          example: pageOf(exampleJob(deps.catalog, 'pending')),
        },
      },
      async handle({ query, accountId }) {
        const quotas = quotaReader(pool, deps.now());
        const list = `bulk:${accountId ?? '*'}:${query.status ?? ''}`;
        return pageResponse(
          cursorSigner,
          list,
          query,
          async (after, limit) => {
            const rows = await listBulkJobs(pool, accountId, query.status, after, limit);
            return Promise.all(rows.map(async (row) => ({ ...row, quota: await quotas(row.account_id) })));
          },
          (row) => presentBulkJob(row, row.quota),
        );
      },
    }),
    defineRoute({
      ...read,
      method: 'GET',
      path: '/bulk/operations/{id}',
      operationId: 'getBulkOperation',
      tag: 'bulk',
      summary: 'Show a bulk job',
      description:
        'Shows status, counts, the latest errors and the quota of the account. `processed` is always `succeeded` + `failed` + `skipped`.',
      params: { id: 'ID of the bulk job.' },
      example: { params: { id: EXAMPLE.job } },
      responses: {
        200: {
          description: 'The bulk job.',
          schema: bulkJobSchema,
          example: exampleJob(deps.catalog, 'pending'),
        },
      },
      handle: async ({ param, accountId }) =>
        jsonResponse(200, await present(await requireBulkJob(pool, accountId, param('id')))),
    }),
    defineRoute({
      ...read,
      method: 'GET',
      path: '/bulk/operations/{id}/results',
      operationId: 'listBulkResults',
      tag: 'bulk',
      summary: 'List item results in the order of the job, or download all of them as a file with format',
      description:
        'Pages follow the order of the job and can be read while it runs: a page ends where results are final. With `format`, the response is one file of all results, once the job has ended.',
      params: { id: 'ID of the bulk job.' },
      example: { params: { id: EXAMPLE.job }, query: { limit: 10 } },
      problems: {
        malformed:
          'The cursor is not one of these results: use the same job, `status` and `code`. Or the request is not well-formed.',
        conflict: 'The job has not ended, so there is no file yet. `job_status` is its status.',
        too_many: 'Other result files are being written, or a limit of the account is reached.',
      },
      query: RESULTS_QUERY,
      responses: {
        200: {
          description:
            'A page of results. It may hold fewer results than limit, or none, while has_more is true. With format: the file, once the job has ended.',
          schema: listOf(itemResultSchema),
          example: pageOf(EXAMPLE_RESULT),
          types: FILE_TYPES,
        },
      },
      handle: ({ param, accountId, caller, query }) =>
        whenSourceResponds(async () => {
          const job = await requireBulkJob(pool, accountId, param('id'));
          const fileRequest = fileRequestOf(query);
          if (fileRequest === undefined) return resultsPage(job, query, deps);
          if (!isEnded(job.status)) throw notEnded(job);
          // Before the file is opened, because a later failure would leave it open.
          await recordAudit(pool, {
            accountId: job.account_id,
            actor: actorOf(caller),
            action: 'bulk.downloaded',
            subjectId: job.id,
          });
          return openResultsFile(job, fileRequest, limitedAccountOf(caller));
        }),
    }),
    ...jobCommandRoutes(deps),
  ];
}

/** Reads each account's quota once: most jobs of a page belong to one account. */
function quotaReader(pool: Pool, nowMs: number) {
  const known = new Map<string, ReturnType<typeof readQuota>>();
  return (accountId: string) => {
    const quota = known.get(accountId) ?? readQuota(pool, accountId, nowMs);
    known.set(accountId, quota);
    return quota;
  };
}

interface ResultPlace {
  readonly seq: number;
}

/**
 * @returns undefined when the request is for a page
 * @throws AppError `invalid` for parameters that do not go together
 */
function fileRequestOf(query: ResultsQuery): ResultsRequest | undefined {
  const { format, compression, csv_safe: csvSafe, status, code } = query;
  const misplaced = (pointers: readonly (keyof ResultsQuery)[], detail: string) =>
    pointers.filter((name) => query[name] !== undefined).map((pointer) => ({ pointer, detail }));
  const errors =
    format === undefined
      ? misplaced(['compression', 'csv_safe'], 'is for a file: give format too')
      : misplaced(['cursor', 'limit', 'code'], 'is for pages: omit it when format is given');
  if (code !== undefined && status !== 'failed' && status !== 'skipped') {
    errors.push({ pointer: 'code', detail: 'needs status=failed or status=skipped' });
  }
  if (format !== undefined && format !== 'csv') errors.push(...misplaced(['csv_safe'], 'is for csv'));
  if (format === 'parquet' && compression !== undefined && compression !== 'none') {
    errors.push({ pointer: 'compression', detail: 'must be none for parquet, which compresses internally' });
  }
  if (errors.length > 0) throw invalid(errors);
  if (format === undefined) return undefined;
  return { format, compression: compression ?? 'none', csvSafe: csvSafe === 'true', status };
}

function notEnded({ id, status }: BulkJobRow): AppError {
  return new AppError(
    'conflict',
    `The bulk job ${id} is ${status}. Its results are available as a file once it has ended, and as pages now.`,
    { retryAfterSeconds: 1, extra: { job_status: status } },
  );
}

/** While a job runs, pages end where results are final. The cursor of the last page continues there later. */
async function resultsPage(
  job: BulkJobRow,
  query: ResultsQuery,
  { pool, source, cursorSigner }: BulkJobDeps,
): Promise<TextResponse> {
  const { status, code } = query;
  const list = `bulk-results:${job.id}:${status ?? ''}${code === undefined ? '' : `:${code}`}`;
  const after = query.cursor === undefined ? -1 : readPlace(cursorSigner, list, query.cursor).seq;
  const bound = await finalUntil(pool, job);
  const end = bound ?? Number(job.total ?? 0);
  const seenUntil = await seenUntilOf(source, job.id, query, after);
  const limit = query.limit ?? DEFAULT_RESULTS;
  const rows = await readResults(source, job.id, {
    status,
    code,
    afterSeq: after,
    beforeSeq: seenUntil,
    limit: limit + 1,
  });
  const final = rows.filter(({ seq }) => seq < (bound ?? Number.POSITIVE_INFINITY));
  const page = final.slice(0, limit);
  const isShort = seenUntil !== undefined && final.length <= limit && seenUntil < end;
  const hasMore = final.length > limit || isShort || !isEnded(job.status);
  const place: ResultPlace = { seq: isShort ? seenUntil - 1 : (page.at(-1)?.seq ?? after) };
  return jsonResponse(200, {
    data: page.map(presentItem),
    has_more: hasMore,
    next_cursor: hasMore ? writeCursor(cursorSigner, list, place) : null,
  });
}

/** The end of the results that a page examines; undefined to examine all. */
async function seenUntilOf(
  source: Pool,
  jobId: string,
  { status, code }: ResultsQuery,
  after: number,
): Promise<number | undefined> {
  if (status === 'succeeded') return after + 1 + MAX_SEEN_RESULTS;
  if (status === undefined || code === undefined) return undefined;
  return findResultAt(source, jobId, { status, afterSeq: after, skip: MAX_SEEN_RESULTS });
}

/** @throws AppError `malformed` for a cursor of another job or filter, or an altered one */
function readPlace(signer: Signer, list: string, cursor: string): ResultPlace {
  try {
    return readCursor<ResultPlace>(signer, list, cursor);
  } catch (cause) {
    throw new AppError(
      'malformed',
      'The cursor does not belong to these results. Use the same job and status.',
      {
        errors: [{ pointer: 'cursor', detail: 'is not a cursor of this job and filter' }],
        cause,
      },
    );
  }
}
