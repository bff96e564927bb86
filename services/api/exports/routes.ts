import { z } from 'zod';
import { expireExport } from '../../../shared/control/exports/export-retention.ts';
import { insertExport, lockActiveExports } from '../../../shared/control/exports/queue-exports.ts';
import { firstResource } from '../../../shared/domain/catalog.ts';
import { EXPORT_FORMATS, type ExportRequest } from '../../../shared/domain/export-request.ts';
import { newId } from '../../../shared/domain/ids.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { exportFolder } from '../../../shared/protocol/storage-paths.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import { sourceIdOf } from '../admin/accounts.ts';
import type { FeedGuard } from '../admin/feed-guard.ts';
import type { SourceFacts } from '../admin/source-facts.ts';
import type { UnfitResources } from '../admin/unfit-resources.ts';
import { changeRecorded, recordAudit } from '../http/audit-log.ts';
import { actorOf } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { PAGE_QUERY, pageResponse } from '../http/paging.ts';
import { jsonResponse, noContent, type TextResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { listOf, pageOf } from '../http/schema.ts';
import { exampleEstimate, exampleExport } from './examples.ts';
import { acceptedHeaders, type ExportCommandDeps, exportCommandRoutes, noExport } from './export-commands.ts';
import { estimateChanges, requireRecordedChanges } from './recorded-changes.ts';
import { type ExportBody, exportBodyRules, exportBodySchema, resolveExport, resourcesOf } from './request.ts';
import { estimateSchema, exportSchema, presentExport } from './response.ts';
import { countWaitingExports, type ExportRow, findExport, listExports, recentExportRate } from './store.ts';

export interface ExportDeps extends ExportCommandDeps {
  readonly feedGuard: FeedGuard;
  readonly cursorSigner: Signer;
  readonly source: SourceFacts;
  readonly unfit: Pick<UnfitResources, 'requireFit'>;
  readonly storage: { deleteFolder(folder: string): Promise<void> };
  /** Queued and paused exports that an account may have. */
  readonly maxQueuedExports: number;
}

/** Retry-After of a full queue. */
const QUEUE_RETRY_SECONDS = 30;

/** Rate in rows per second until an export has completed, and the least duration of any export. */
const ASSUMED_RATE = 20_000;
const LEAST_SECONDS = 2;

/** Size of a whole digest, which has a line for each bucket, whatever the number of rows. */
const DIGEST_BYTES = 27_000;

export function exportRoutes(deps: ExportDeps): Route[] {
  const { pool, catalog, cursorSigner, source } = deps;
  const read = { access: 'exports:read', account: 'any' } as const;
  const write = { access: 'exports:write', account: 'any' } as const;
  const first = firstResource(catalog);
  const requireExport = async (db: Queryable, accountId: string | null, id: string): Promise<ExportRow> => {
    const row = await findExport(db, accountId, id);
    if (row === undefined) throw noExport(id);
    return row;
  };

  return [
    defineRoute({
      method: 'POST',
      path: '/exports',
      operationId: 'createExport',
      tag: 'exports',
      summary: 'Start an export, or estimate it with dry_run',
      description:
        'Takes one consistent snapshot of the resources and writes it to files. Poll the export until its status is `completed`, or wait for `export.completed` by webhook. Then download the files, and follow the feed with `after_export`: it starts exactly where the snapshot ends.\n\nExports of an account run a few at a time. The others wait in a queue of limited length.',
      example: { body: { resource: first, format: 'csv', compression: 'gzip' } },
      problems: {
        not_found: 'There is no export `changes_since`.',
        conflict:
          'A resource cannot be exported as its table is: `errors` says why. Or the export `changes_since` has not completed.',
        too_many:
          'The queue of exports is full (`active_jobs` lists them), or a limit of the account is reached.',
        feed_behind:
          'The change feed is too far behind to accept more work. Wait for the time of `Retry-After`.',
      },
      access: 'exports:write',
      account: 'one_or_all',
      creates: true,
      body: exportBodySchema(catalog),
      bodyRules: exportBodyRules,
      responses: {
        202: {
          description: 'The new export, pending.',
          schema: exportSchema,
          example: exampleExport(first, 'pending'),
          headers: ['Location', 'Retry-After'],
        },
        200: {
          description: 'With dry_run: estimate of rows and duration.',
          schema: estimateSchema,
          example: exampleEstimate(first),
        },
      },
      async handle({ body, accountId, caller, once }) {
        const response = await once(async (db) => {
          const asked = resolveExport(body, catalog, deps.now());
          const resources = resourcesOf(asked, catalog);
          await deps.unfit.requireFit(resources, (name) => pointerOf(name, body));
          const fields = asked.fields === null ? null : await source.resolveFields(resources, asked.fields);
          const request = { ...asked, fields };
          if (request.date_range?.field != null) {
            await source.requireRangeColumn(request.resources, request.date_range.field);
          }
          await requireRecordedChanges(db, accountId, { request, resources }, source, deps.retention());
          const sourceId = accountId === null ? null : await sourceIdOf(db, accountId);
          const estimate =
            request.changes_since === null
              ? await source.estimate(request, resources, sourceId)
              : await estimateChanges(db, request.changes_since, resources);
          if (body.dry_run) {
            const sized = estimate && {
              rows: estimate.rows,
              bytes: sizeOf(request, resources, estimate.bytes),
            };
            return estimateResponse(db, resources, sized, await findRefusal(db, accountId, deps));
          }
          deps.feedGuard.requireSlack();
          await requireQueueSpace(db, accountId, deps.maxQueuedExports);
          const id = newId('exp');
          await insertExport(db, {
            id,
            accountId,
            request,
            resources,
            rowsEstimated: estimate?.rows ?? null,
          });
          const details = { resources, format: request.format };
          const actor = actorOf(caller);
          await recordAudit(db, { accountId, actor, action: 'export.created', subjectId: id, details });
          const row = await findExport(db, accountId, id);
          if (row === undefined) throw new Error(`the export ${id} vanished while it was made`);
          return { ...jsonResponse(202, await presentExport(row, deps), acceptedHeaders(id)), jobId: id };
        });
        deps.notifyRelay();
        return response;
      },
    }),
    defineRoute({
      ...read,
      method: 'GET',
      path: '/exports',
      operationId: 'listExports',
      tag: 'exports',
      summary: 'List exports',
      description: 'Newest first. Links to files are new in each response.',
      example: { query: { status: 'pending', limit: 10 } },
      query: z.strictObject({
        ...PAGE_QUERY,
        status: exportSchema.shape.status.optional().meta({ description: 'Only exports with this status.' }),
        resource: z
          .string()
          .max(100)
          .optional()
          .meta({ description: 'Only exports with records of this resource.' }),
        format: z.enum(EXPORT_FORMATS).optional().meta({ description: 'Only exports in this format.' }),
        kind: z.enum(['records', 'check']).optional().meta({
          description:
            'records: without checks of replicas. check: only those, which are in the format digest.',
        }),
      }),
      responses: {
        200: {
          description: 'Exports, newest first.',
          schema: listOf(exportSchema),
          example: pageOf(exampleExport(first, 'pending')),
        },
      },
      handle: ({ query, accountId }) =>
        pageResponse(
          cursorSigner,
          `exports:${accountId ?? '*'}:${query.status ?? ''}:${query.resource ?? ''}:${query.format ?? ''}:${query.kind ?? ''}`,
          query,
          (after, limit) => listExports(pool, accountId, query, after, limit),
          (row) => presentExport(row, deps),
        ),
    }),
    defineRoute({
      ...read,
      method: 'GET',
      path: '/exports/{id}',
      operationId: 'getExport',
      tag: 'exports',
      summary: 'Show an export',
      description:
        'Shows status, progress and, once it is completed, the files with links that need no key. An export never changes after it is completed.',
      params: { id: 'ID of the export.' },
      example: { params: { id: EXAMPLE.export } },
      responses: {
        200: {
          description: 'The export.',
          schema: exportSchema,
          example: exampleExport(first, 'completed'),
        },
      },
      handle: async ({ param, accountId }) =>
        jsonResponse(200, await presentExport(await requireExport(pool, accountId, param('id')), deps)),
    }),
    ...exportCommandRoutes(deps),
    defineRoute({
      ...write,
      method: 'DELETE',
      path: '/exports/{id}',
      operationId: 'deleteExport',
      tag: 'exports',
      summary: "Delete an export's files immediately; safe to repeat",
      description:
        'Removes the files at once instead of at the end of their retention. The export becomes `expired`, and its links get 410. A feed can still start after it.',
      params: { id: 'ID of the export.' },
      example: { params: { id: EXAMPLE.export } },
      problems: {
        conflict: 'The export has not ended: cancel it first. `export_status` is its status.',
      },
      responses: { 204: { description: 'The files are deleted. The export is expired.' } },
      async handle({ param, accountId, caller }) {
        const row = await requireExport(pool, accountId, param('id'));
        if (['pending', 'running', 'paused', 'cancelling'].includes(row.status)) {
          throw new AppError('conflict', `The export is ${row.status}. Cancel it first.`, {
            extra: { export_status: row.status },
          });
        }
        // After this no link leads to the files. The retention sweeper deletes them if the process dies here.
        await changeRecorded(pool, { caller, action: 'export.deleted', id: row.id }, async (db) => {
          await expireExport(db, row.id);
          return row;
        });
        await deps.storage.deleteFolder(exportFolder(row.id));
        return noContent();
      },
    }),
  ];
}

/** JSON Pointer to where the request names a resource. A resource that it does not name was included as a related one. */
function pointerOf(name: string, { resource, resources }: ExportBody): string {
  if (resource === name) return '/resource';
  const index = resources?.indexOf(name) ?? -1;
  return index === -1 ? '/include_related' : `/resources/${index}`;
}

/** Bytes of all files. Null for a digest of some buckets: its size depends on the keys in them. */
function sizeOf({ format, buckets }: ExportRequest, resources: readonly string[], rowBytes: number) {
  if (format !== 'digest') return rowBytes;
  return buckets === null ? resources.length * DIGEST_BYTES : null;
}

async function estimateResponse(
  db: Queryable,
  resources: readonly string[],
  estimate: { rows: number; bytes: number | null } | null,
  refusal: z.input<typeof estimateSchema>['refusal'],
): Promise<TextResponse> {
  const rate = (await recentExportRate(db)) ?? ASSUMED_RATE;
  return jsonResponse(200, {
    dry_run: true,
    resources: [...resources],
    estimated_rows: estimate?.rows ?? null,
    estimated_bytes: estimate?.bytes ?? null,
    estimated_duration_seconds: estimate === null ? null : Math.ceil(LEAST_SECONDS + estimate.rows / rate),
    refusal,
  } satisfies z.input<typeof estimateSchema>);
}

/** Why a new export would be refused now. Takes no lock, because an estimate must delay nobody. */
async function findRefusal(
  db: Queryable,
  accountId: string | null,
  { feedGuard, maxQueuedExports }: Pick<ExportDeps, 'feedGuard' | 'maxQueuedExports'>,
): Promise<z.input<typeof estimateSchema>['refusal']> {
  try {
    feedGuard.requireSlack();
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'feed_behind') throw error;
    return { code: error.code, detail: error.message };
  }
  const waiting = await countWaitingExports(db, accountId);
  return waiting < maxQueuedExports ? null : { code: 'too_many', detail: fullQueue(maxQueuedExports) };
}

function fullQueue(maxQueued: number): string {
  return `The account already has ${maxQueued} waiting exports. Cancel one or try again later.`;
}

/** @throws AppError `too_many` with the active jobs */
async function requireQueueSpace(db: Queryable, accountId: string | null, maxQueued: number): Promise<void> {
  const active = await lockActiveExports(db, accountId);
  if (active.filter(({ status }) => status === 'pending' || status === 'paused').length < maxQueued) return;
  throw new AppError('too_many', fullQueue(maxQueued), {
    retryAfterSeconds: QUEUE_RETRY_SECONDS,
    extra: { active_jobs: active },
  });
}
