import { z } from 'zod';
import { recordShownProgress } from '../../../shared/control/exports/shown-progress.ts';
import { parseLsn } from '../../../shared/domain/lsn.ts';
import { formatPosition } from '../../../shared/domain/position.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { exportFilePath, MANIFEST } from '../../../shared/protocol/storage-paths.ts';
import type { DownloadLinks, PresignedUrl } from '../../../shared/storage/storage.ts';
import type { PublicUrls } from '../http/public-urls.ts';
import { count, timestamp } from '../http/schema.ts';
import { advanceProgress, type Progress, progressOf } from './progress.ts';
import type { ExportFileRow, ExportRow } from './store.ts';

const archiveMemberSchema = z
  .strictObject({ name: z.string(), resource: z.string(), rows: count, bytes: count, sha256: z.string() })
  .meta({ id: 'ArchiveMember' });

export const exportFileSchema = z
  .strictObject({
    name: z.string(),
    resource: z.string().nullable().meta({ description: 'Null: archive of all resources.' }),
    rows: count,
    bytes: count,
    sha256: z.string(),
    content_url: z.string().meta({ description: 'Requires the key. Redirects to a new presigned URL.' }),
    url: z.string().meta({ description: 'Presigned URL. Requires no key. Valid until url_expires_at.' }),
    url_expires_at: timestamp,
    digest: z
      .string()
      .optional()
      .meta({ description: 'Of the format digest: the sum of the digests of all records, in hexadecimal.' }),
    members: z.array(archiveMemberSchema).optional().meta({ description: 'Files of the archive.' }),
  })
  .meta({ id: 'ExportFile' });

export const exportSchema = z
  .strictObject({
    id: z.string(),
    account_id: z.string().nullable().meta({ description: 'Null: all accounts at once.' }),
    status: z.enum([
      'pending',
      'running',
      'paused',
      'cancelling',
      'completed',
      'failed',
      'cancelled',
      'expired',
    ]),
    phase: z.enum(['queued', 'waiting_for_feed', 'extracting', 'assembling', 'done']),
    resources: z.array(z.string()),
    format: z.string(),
    compression: z.string(),
    archive: z.string().nullable(),
    csv_safe: z.boolean(),
    buckets: z.array(count).nullable(),
    include_deleted: z.boolean(),
    include_related: z.boolean(),
    date_range: z.strictObject({ from: timestamp, to: timestamp, field: z.string().nullable() }).nullable(),
    fields: z.array(z.string()).nullable(),
    changes_since: z.string().nullable(),
    as_of: timestamp
      .nullable()
      .meta({ description: 'Time of the exported state. Null: the time of the snapshot.' }),
    max_rows_per_second: count.nullable().meta({ description: 'Null: unlimited.' }),
    rows: z.strictObject({ estimated: count.nullable(), extracted: count, written: count }),
    progress: z
      .number()
      .min(0)
      .max(1)
      .meta({ description: 'Never falls, also when the export starts again with a new snapshot.' }),
    eta_seconds: count.nullable().meta({
      description: 'Never grows. Null until a rate is known, and while it takes much longer than was said.',
    }),
    queue_position: count
      .optional()
      .meta({ description: 'Position in the queue of the account while pending: 1 starts next.' }),
    created_at: timestamp,
    started_at: timestamp.nullable(),
    completed_at: timestamp.nullable(),
    expires_at: timestamp.nullable(),
    pause_expires_at: timestamp
      .optional()
      .meta({ description: 'Only while paused: the export fails at this time unless it is resumed.' }),
    snapshot: z
      .strictObject({
        kind: z.enum(['single', 'chunked']).meta({
          description:
            'chunked: the rows were read in short transactions before the snapshot, and changed records come from the feed.',
        }),
        reason: z
          .string()
          .nullable()
          .meta({ description: 'Why it is single although a chunked one was asked for. Null: it was not.' }),
        taken_at: z.string(),
        lsn: z.string(),
        xmin: z.string(),
        xmax: z.string(),
        xip: z.array(z.string()),
      })
      .nullable(),
    cut: z.strictObject({ position: z.string() }).nullable().meta({
      description:
        'Of an export with as_of, once it is known: the exported state has every event with a smaller position, and no other.',
    }),
    files: z.array(exportFileSchema).meta({ description: 'Only a completed export has files.' }),
    manifest_url: z.string().nullable(),
    error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
  })
  .meta({ id: 'Export' });

export const estimateSchema = z
  .strictObject({
    dry_run: z.literal(true),
    resources: z.array(z.string()),
    estimated_rows: count.nullable(),
    estimated_bytes: count.nullable(),
    estimated_duration_seconds: count.nullable(),
    refusal: z
      .strictObject({ code: z.enum(['feed_behind', 'too_many']), detail: z.string() })
      .nullable()
      .meta({
        description:
          'Why the export would be refused at this moment. Null: it would start, or wait in the queue.',
      }),
  })
  .meta({ id: 'ExportEstimate' });

export interface LinkDeps {
  readonly links: DownloadLinks;
  readonly urls: Pick<PublicUrls, 'absolute'>;
  readonly urlLifetimeMs: number;
  readonly now: () => number;
}

/** Records the progress that a response shows, so that later responses never show less. */
export async function presentExport(
  row: ExportRow,
  deps: LinkDeps & { readonly pool: Queryable },
): Promise<z.input<typeof exportSchema>> {
  const { progress, etaSeconds } = await shownProgress(row, deps);
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
    buckets: request.buckets === null ? null : [...request.buckets],
    include_deleted: request.include_deleted,
    include_related: request.include_related,
    date_range: request.date_range,
    fields: request.fields === null ? null : [...request.fields],
    changes_since: request.changes_since,
    as_of: request.as_of,
    max_rows_per_second: request.max_rows_per_second,
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
    ...(row.status === 'paused' && row.pause_expires_at !== null
      ? { pause_expires_at: row.pause_expires_at.toISOString() }
      : {}),
    snapshot: row.snapshot && presentSnapshot(row, row.snapshot),
    cut: presentCut(row),
    files: isCompleted
      ? await Promise.all((row.files ?? []).map((file) => presentFile(row, file, deps)))
      : [],
    manifest_url: isCompleted ? (await presignExportFile(row, MANIFEST, deps)).url : null,
    ...(row.error === null ? {} : { error: { code: row.error.code, message: row.error.message } }),
  };
}

/** Leaves out what only services need of the snapshot. */
function presentSnapshot(
  { snapshot_kind: kind, snapshot_reason: reason }: ExportRow,
  { taken_at, lsn, xmin, xmax, xip }: NonNullable<ExportRow['snapshot']>,
) {
  // Exports of an earlier version have no kind. All of them were single.
  return { kind: kind ?? 'single', reason, taken_at, lsn, xmin, xmax, xip };
}

/** The position that an as-of export restores. It stays the same in later runs of the export. */
function presentCut({ cut_lsn: lsn, request }: ExportRow) {
  if (request.as_of === null || lsn === null) return null;
  return { position: formatPosition({ commitLsn: parseLsn(lsn), index: 0 }) };
}

/** A new presigned URL, which expires with the file at the latest. `lifetimeMs` may only shorten it. */
export function presignExportFile(
  row: ExportRow,
  name: string,
  deps: LinkDeps,
  lifetimeMs = Infinity,
): Promise<PresignedUrl> {
  const endsAtMs = Math.min(
    deps.now() + Math.min(lifetimeMs, deps.urlLifetimeMs),
    row.expires_at?.getTime() ?? Infinity,
  );
  return deps.links.presign(exportFilePath(row.id, name), endsAtMs);
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
    ...(file.digest === undefined ? {} : { digest: file.digest }),
    content_url: deps.urls.absolute(`/exports/${row.id}/files/${file.name}`),
    url,
    url_expires_at: expiresAt.toISOString(),
    ...(file.members === undefined ? {} : { members: file.members.map((member) => ({ ...member })) }),
  };
}

async function shownProgress(
  row: ExportRow,
  { pool, now }: Pick<LinkDeps, 'now'> & { readonly pool: Queryable },
): Promise<Progress> {
  const computed = progressOf(progressFacts(row), now());
  if (row.status !== 'running' && row.status !== 'cancelling') {
    return { ...computed, progress: Math.max(computed.progress, row.shown_progress) };
  }
  const shown = { progress: row.shown_progress, etaSeconds: row.shown_eta_seconds };
  const next = advanceProgress(shown, computed);
  const isNew =
    next.progress > shown.progress || (next.etaSeconds !== null && next.etaSeconds !== shown.etaSeconds);
  if (!isNew) return next;
  const recorded = await recordShownProgress(pool, row.id, next);
  // Another request may have shown more meanwhile. If this response has no time left, an earlier one is wrong.
  return recorded === undefined
    ? next
    : { progress: recorded.progress, etaSeconds: next.etaSeconds === null ? null : recorded.etaSeconds };
}

function progressFacts(row: ExportRow) {
  return {
    status: row.status,
    rowsEstimated: row.rows_estimated === null ? null : Number(row.rows_estimated),
    rowsPlanned: Number(row.rows_planned ?? 0),
    isPlanned: row.all_planned,
    rowsExtracted: Number(row.rows_extracted),
    rowsWritten: Number(row.rows_written),
    readingSinceMs: readingSinceMs(row),
  };
}

/** Start of the time that the rate is computed from. A chunked export has no snapshot before everything is read. Pauses do not count. */
function readingSinceMs({
  status,
  snapshot_kind: kind,
  snapshot,
  started_at: startedAt,
  paused_ms: pausedMs,
}: ExportRow): number | undefined {
  if (status === 'pending' || status === 'paused') return undefined;
  if (kind === 'chunked') return startedAt === null ? undefined : startedAt.getTime() + Number(pausedMs);
  return snapshot === null ? undefined : Date.parse(snapshot.taken_at);
}
