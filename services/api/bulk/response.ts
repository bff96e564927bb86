import { z } from 'zod';
import type { BulkQuota } from '../../../shared/control/bulk/bulk-quota.ts';
import type { ItemResult } from '../../../shared/domain/bulk.ts';
import { count, timestamp } from '../http/schema.ts';
import type { BulkJobRow } from './store.ts';

/** Enough to recognise what is wrong with a file. */
export const MAX_BAD_LINES = 20;

export const bulkStatusSchema = z.enum(['pending', 'running', 'paused', 'cancelled', 'completed', 'failed']);

export const itemStatusSchema = z.enum(['succeeded', 'failed', 'skipped']);

export const bulkAcceptedSchema = z
  .strictObject({
    job_id: z.string(),
    status: bulkStatusSchema,
    estimated_items: count,
    estimated_duration_seconds: count,
  })
  .meta({ id: 'BulkAccepted' });

export const bulkJobSchema = z
  .strictObject({
    job_id: z.string(),
    account_id: z.string(),
    resource: z.string(),
    operation: z.string(),
    semantics: z.enum(['snapshot', 'live']),
    status: bulkStatusSchema,
    processed: count.meta({ description: 'Always succeeded + failed + skipped.' }),
    succeeded: count,
    failed: count,
    skipped: count,
    total: count.meta({ description: 'An estimate until the items are listed.' }),
    created_at: timestamp,
    started_at: timestamp.nullable().meta({
      description: 'Time at which the item list was complete. The job is pending before and running after.',
    }),
    last_updated_at: timestamp,
    ended_at: timestamp.nullable(),
    eta_seconds: count.nullable().meta({ description: 'Null while paused and until a rate is known.' }),
    quota: z.strictObject({
      limit: count.nullable().meta({ description: 'Items per period of the account. Null: unlimited.' }),
      used: count,
      remaining: count.nullable(),
      resets_at: timestamp,
    }),
    recent_errors: z.array(
      z.strictObject({ item_id: z.string(), code: z.string(), message: z.string(), at: timestamp }),
    ),
    error_summary: z.array(z.strictObject({ code: z.string(), count })),
    queue_position: count.optional().meta({
      description: 'Position in the queue of the account: 1 starts next. Absent while the items are listed.',
    }),
    pause_reason: z.enum(['requested', 'quota', 'handler', 'feed']).optional().meta({
      description:
        '`handler`: the handler is unavailable. `feed`: the change feed is too far behind. `quota`: the quota is used up. These three end without a request. `requested`: ends with a resume.',
    }),
    resumes_at: timestamp
      .optional()
      .meta({ description: 'Time at which the job resumes, if it waits for its quota or its handler.' }),
    error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
  })
  .meta({ id: 'BulkOperation' });

export const itemResultSchema = z
  .strictObject({
    item_id: z.string(),
    status: itemStatusSchema,
    code: z.string().optional(),
    message: z.string().optional(),
    line: count.optional().meta({ description: 'Line in the file of IDs.' }),
    at: timestamp,
  })
  .meta({ id: 'BulkItemResult' });

export const bulkDoneSchema = z
  .strictObject({
    resource: z.string(),
    operation: z.string(),
    status: z.literal('completed'),
    processed: count,
    succeeded: count,
    failed: count,
    skipped: count,
    total: count,
    results: z.array(itemResultSchema).meta({ description: 'In the order of the request.' }),
  })
  .meta({ id: 'BulkDone' });

export const bulkDryRunSchema = z
  .strictObject({
    dry_run: z.literal(true),
    resource: z.string(),
    operation: z.string(),
    estimated_items: count,
    estimated_duration_seconds: count,
    sample: z
      .array(
        z.strictObject({
          item_id: z.string(),
          record: z.record(z.string(), z.unknown()).optional().meta({
            description:
              'The record as files and events write it, without values of more than 2,000 characters. Absent: there is none, or the key lacks the scope exports:read.',
          }),
        }),
      )
      .meta({ description: 'The first items. Empty for a file of IDs.' }),
  })
  .meta({ id: 'BulkDryRun' });

export const bulkFileSchema = z
  .strictObject({
    file_id: z.string(),
    items: count.meta({ description: 'Non-blank lines without the header.' }),
    ids: count.meta({
      description:
        'Lines that are valid IDs, of `resource` where the upload gives it. Other lines become failed items.',
    }),
    bad_lines: z
      .array(
        z.strictObject({
          line: z.int().min(1),
          code: z.enum(['too_long', 'quotes', 'columns', 'invalid_id']),
          detail: z.string(),
        }),
      )
      .meta({ description: `The first ${MAX_BAD_LINES} lines that are not valid IDs.` }),
    header: z.string().optional().meta({ description: 'The first line, if it is the name of a key column.' }),
    bytes: count,
    created_at: timestamp,
    expires_at: timestamp,
  })
  .meta({ id: 'BulkFile' });

export function presentQuota({ limit, used, reserved, resetsAt }: BulkQuota) {
  return {
    limit,
    used,
    remaining: limit === null ? null : Math.max(0, limit - used - reserved),
    resets_at: resetsAt.toISOString(),
  };
}

export function presentBulkJob(row: BulkJobRow, quota: BulkQuota): z.input<typeof bulkJobSchema> {
  const total = Number(row.total ?? row.estimated);
  const processed = Number(row.processed);
  return {
    job_id: row.id,
    account_id: row.account_id,
    resource: row.resource,
    operation: row.operation,
    semantics: row.semantics,
    status: row.status,
    processed,
    succeeded: Number(row.succeeded),
    failed: Number(row.failed),
    skipped: Number(row.skipped),
    total: Math.max(total, processed),
    created_at: row.created_at.toISOString(),
    started_at: row.started_at?.toISOString() ?? null,
    last_updated_at: row.last_updated_at.toISOString(),
    ended_at: row.ended_at?.toISOString() ?? null,
    eta_seconds: etaSeconds({ ...row, total: row.total === null ? null : total, processed }),
    quota: presentQuota(quota),
    recent_errors: row.recent_errors.map(({ item_id, code, message, at }) => ({
      item_id,
      code,
      message,
      at,
    })),
    error_summary: Object.entries(row.error_counts)
      .map(([code, count]) => ({ code, count }))
      .sort((a, b) => b.count - a.count || (a.code < b.code ? -1 : 1)),
    ...(row.queue_position === null ? {} : { queue_position: row.queue_position }),
    ...(row.pause_reason === null ? {} : { pause_reason: row.pause_reason }),
    ...(row.pause_reason === 'handler' && row.resumes_at !== null
      ? { resumes_at: row.resumes_at.toISOString() }
      : {}),
    ...(row.pause_reason === 'quota' ? { resumes_at: quota.resetsAt.toISOString() } : {}),
    ...(row.error === null ? {} : { error: { code: row.error.code, message: row.error.message } }),
  };
}

/** By the smoothed rate of the workers. Null without a rate. */
export function etaSeconds(facts: {
  readonly status: string;
  readonly total: number | null;
  readonly processed: number;
  readonly rate: number | null;
}): number | null {
  if (facts.status === 'completed') return 0;
  if (facts.status !== 'running' || facts.total === null || facts.rate === null || facts.rate <= 0)
    return null;
  return Math.ceil((facts.total - facts.processed) / facts.rate);
}

export function presentItem(result: ItemResult): z.input<typeof itemResultSchema> {
  return {
    item_id: result.itemId,
    status: result.status,
    ...(result.code === null ? {} : { code: result.code }),
    ...(result.message === null ? {} : { message: result.message }),
    ...(result.line === null ? {} : { line: result.line }),
    at: result.at,
  };
}
