import type { z } from 'zod';
import type { BulkQuota } from '../../../shared/control/bulk/bulk-quota.ts';
import type { ItemResult } from '../../../shared/domain/bulk.ts';
import type { BulkJobRow } from './store.ts';
import type { bulkJobSchema, itemResultSchema } from './wire-bulk.ts';

/** Bulk operations become public JSON here and nowhere else. */

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

/** From the smoothed recent rate, which the workers keep; null where there is none to go by. */
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
