import type { z } from 'zod';
import { parseLsn } from '../../shared/domain/lsn.ts';
import { eventId, formatPosition } from '../../shared/domain/position.ts';
import type { QuotaPeriod } from '../../shared/domain/quota-period.ts';
import { openHeaders, type StoredHeaders } from '../../shared/runtime/sealed-headers.ts';
import type { SecretBox } from '../../shared/runtime/secret-box.ts';
import type { DownloadLinks, PresignedUrl } from '../../shared/storage/download-links.ts';
import type { AccountRow } from './admin/accounts.ts';
import { progressOf } from './exports/progress.ts';
import type { ExportFileRow, ExportRow } from './exports/store.ts';
import type { KeyRow } from './http/api-keys.ts';
import type { AuditRow } from './http/audit-log.ts';
import type { PublicUrls } from './http/public-urls.ts';
import type { DeadRow } from './webhooks/delivery-store.ts';
import type { AttemptRow, WebhookRow } from './webhooks/store.ts';
import type {
  accountSchema,
  attemptSchema,
  auditSchema,
  deadLetterSchema,
  exportFileSchema,
  exportSchema,
  keySchema,
  webhookSchema,
} from './wire.ts';

/** Rows become public JSON here and nowhere else. */

export interface LinkDeps {
  readonly links: DownloadLinks;
  readonly urls: Pick<PublicUrls, 'absolute'>;
  readonly urlLifetimeMs: number;
  readonly now: () => number;
}

export const MANIFEST = 'manifest.json';

export function presentAccount(row: AccountRow): z.input<typeof accountSchema> {
  return {
    id: row.id,
    name: row.name,
    source_id: row.source_id,
    limits: {
      max_running_exports: row.max_running_exports,
      max_running_bulk_operations: row.max_running_bulk,
      bulk_quota: {
        items: row.bulk_quota === null ? null : Number(row.bulk_quota),
        period: presentPeriod(row.bulk_quota_period),
      },
    },
    created_at: row.created_at.toISOString(),
  };
}

function presentPeriod(period: QuotaPeriod) {
  if (typeof period === 'string') return period;
  return { seconds: period.seconds, starting_at: new Date(period.startMs).toISOString() };
}

export function presentKey(row: KeyRow): z.input<typeof keySchema> {
  return {
    id: row.id,
    account_id: row.account_id,
    name: row.name,
    scopes: row.scopes,
    created_at: row.created_at.toISOString(),
    revoked_at: row.revoked_at?.toISOString() ?? null,
  };
}

export function presentAudit(row: AuditRow): z.input<typeof auditSchema> {
  const { id, at, account_id, actor, action, subject_id, details } = row;
  return { id, at: at.toISOString(), account_id, actor, action, subject_id, details };
}

export async function presentExport(row: ExportRow, deps: LinkDeps): Promise<z.input<typeof exportSchema>> {
  const { progress, etaSeconds } = progressOf(progressFacts(row), deps.now());
  const { request } = row;
  const isCompleted = row.status === 'completed';
  return {
    id: row.id,
    account_id: row.account_id,
    status: row.status,
    phase: row.phase as z.input<typeof exportSchema>['phase'],
    resources: row.resources,
    format: request.format,
    compression: request.compression,
    archive: request.archive,
    csv_safe: request.csv_safe,
    include_deleted: request.include_deleted,
    include_related: request.include_related,
    date_range: request.date_range,
    fields: request.fields === null ? null : [...request.fields],
    changes_since: request.changes_since ?? null,
    as_of: request.as_of ?? null,
    max_rows_per_second: request.max_rows_per_second ?? null,
    rows: {
      estimated: row.rows_estimated === null ? null : Number(row.rows_estimated),
      extracted: Number(row.rows_extracted),
      written: Number(row.rows_written),
    },
    progress,
    eta_seconds: etaSeconds,
    ...(row.queue_position === null ? {} : { queue_position: row.queue_position }),
    created_at: row.created_at.toISOString(),
    started_at: row.started_at?.toISOString() ?? null,
    completed_at: row.completed_at?.toISOString() ?? null,
    expires_at: row.expires_at?.toISOString() ?? null,
    snapshot: row.snapshot && presentSnapshot(row.snapshot),
    files: isCompleted
      ? await Promise.all((row.files ?? []).map((file) => presentFile(row, file, deps)))
      : [],
    manifest_url: isCompleted ? (await presignExportFile(row, MANIFEST, deps)).url : null,
    ...(row.error === null ? {} : { error: { code: row.error.code, message: row.error.message } }),
  };
}

/** What else a service keeps with the snapshot is its own business. */
function presentSnapshot({ taken_at, lsn, xmin, xmax, xip }: NonNullable<ExportRow['snapshot']>) {
  return { taken_at, lsn, xmin, xmax, xip };
}

/** A fresh presigned URL; it never outlives the file. */
export function presignExportFile(row: ExportRow, name: string, deps: LinkDeps): Promise<PresignedUrl> {
  const endsAtMs = Math.min(deps.now() + deps.urlLifetimeMs, row.expires_at?.getTime() ?? Infinity);
  return deps.links.presign(`exports/${row.id}/${name}`, endsAtMs);
}

async function presentFile(
  row: ExportRow,
  file: ExportFileRow,
  deps: LinkDeps,
): Promise<z.input<typeof exportFileSchema>> {
  const { url, expiresAt } = await presignExportFile(row, file.name, deps);
  return {
    name: file.name,
    resource: file.resource,
    rows: file.rows,
    bytes: file.bytes,
    sha256: file.sha256,
    content_url: deps.urls.absolute(`/exports/${row.id}/files/${file.name}`),
    url,
    url_expires_at: expiresAt.toISOString(),
    ...(file.members === undefined ? {} : { members: file.members.map((member) => ({ ...member })) }),
  };
}

function progressFacts(row: ExportRow) {
  return {
    status: row.status,
    rowsEstimated: row.rows_estimated === null ? null : Number(row.rows_estimated),
    rowsPlanned: Number(row.rows_planned ?? 0),
    isPlanned: row.planned_at !== null,
    rowsExtracted: Number(row.rows_extracted),
    rowsWritten: Number(row.rows_written),
    readingSinceMs: row.snapshot === null ? undefined : Date.parse(row.snapshot.taken_at),
  };
}

export function presentWebhook(
  row: WebhookRow,
  nowMs: number,
  box: Pick<SecretBox, 'open'>,
): z.input<typeof webhookSchema> {
  const isInUse = ({ expires_at }: { expires_at: string | null }) =>
    expires_at === null || Date.parse(expires_at) > nowMs;
  return {
    id: row.id,
    account_id: row.account_id,
    url: row.url,
    events: row.events,
    description: row.description,
    headers: shownHeaders(row.headers, box),
    max_in_flight: row.max_in_flight,
    rate_limit: row.rate_limit,
    batch: row.batch,
    order: row.delivery_order,
    held_by:
      row.held_by === null
        ? null
        : eventId({ commitLsn: parseLsn(row.held_by.commit_lsn), index: row.held_by.idx }),
    status: row.status,
    status_reason: row.status_reason,
    start: row.start,
    position: formatPosition({ commitLsn: parseLsn(row.cursor_lsn), index: row.cursor_idx }),
    failures_in_row: row.failures_in_row,
    failing_since: row.failing_since?.toISOString() ?? null,
    resting_until: row.rest_until?.toISOString() ?? null,
    secret_count: row.secrets.filter(isInUse).length,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

/** None when they do not open: an endpoint whose SECRET_KEY is lost can still be looked at, changed and deleted. */
function shownHeaders(stored: StoredHeaders, box: Pick<SecretBox, 'open'>): Record<string, string> {
  try {
    return { ...openHeaders(stored, box) };
  } catch {
    return {};
  }
}

export function presentDeadLetter(row: DeadRow): z.input<typeof deadLetterSchema> {
  const position = { commitLsn: parseLsn(row.commit_lsn), index: row.idx };
  const { at, class: errorClass, message, status, excerpt } = row.last_error ?? {};
  return {
    event_id: eventId(position),
    type: row.type,
    position: formatPosition(position),
    record: row.record_key,
    attempts: row.attempt_count,
    last_attempt_at: at ?? null,
    status: status ?? null,
    // The words of an attempt: an answer that is no success is a failure, anything else has a class.
    outcome: status === undefined ? (errorClass ?? 'unknown') : 'failed',
    excerpt: excerpt ?? message ?? null,
  };
}

export function presentAttempt(row: AttemptRow): z.input<typeof attemptSchema> {
  return {
    id: row.id,
    event_id: row.event_id,
    batch: row.batch,
    attempt: row.attempt,
    started_at: row.started_at.toISOString(),
    duration_ms: row.duration_ms,
    status: row.status,
    outcome: row.outcome,
    excerpt: row.excerpt,
  };
}
