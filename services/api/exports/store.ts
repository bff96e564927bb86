import { parseExportRequest } from '../../../shared/control/exports/export-request.ts';
import type { SnapshotKind } from '../../../shared/control/exports/queue-exports.ts';
import type { ExportStatus } from '../../../shared/control/state-machines.ts';
import type { ExportRequest } from '../../../shared/domain/export-request.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Place } from '../http/paging.ts';

export interface ExportFileRow {
  readonly name: string;
  /** Null: an archive. */
  readonly resource: string | null;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly path: string;
  /** Of the format `digest`. */
  readonly digest?: string;
  /** The files of an archive. */
  readonly members?: readonly {
    readonly name: string;
    readonly resource: string;
    readonly rows: number;
    readonly bytes: number;
    readonly sha256: string;
  }[];
}

/** 64-bit numbers are texts. */
export interface ExportRow {
  id: string;
  account_id: string | null;
  request: ExportRequest;
  resources: string[];
  status: ExportStatus;
  phase: string;
  rows_estimated: string | null;
  rows_planned: string | null;
  rows_extracted: string;
  rows_written: string;
  snapshot_kind: SnapshotKind | null;
  snapshot_reason: string | null;
  snapshot: { taken_at: string; lsn: string; xmin: string; xmax: string; xip: string[] } | null;
  start_lsn: string | null;
  sealed_lsn: string | null;
  /** Only of an export with as_of. */
  cut_lsn: string | null;
  all_planned: boolean;
  files: ExportFileRow[] | null;
  error: { code: string; message: string } | null;
  queue_position: number | null;
  created_at: Date;
  created_at_text: string;
  started_at: Date | null;
  completed_at: Date | null;
  expires_at: Date | null;
  pause_expires_at: Date | null;
  /** How long pauses have kept it from being worked on since it first started. */
  paused_ms: string;
  shown_progress: number;
  shown_eta_seconds: number | null;
}

type StoredExportRow = Omit<ExportRow, 'request'> & { readonly request: unknown };

const withRequest = (row: StoredExportRow): ExportRow => ({
  ...row,
  request: parseExportRequest(row.request),
});

/** `$1` is the account. Null finds exports of every account, and those of all accounts at once. */
const OF_ACCOUNT = '($1::text is null or e.account_id = $1)';

const COLUMNS = `
  e.id, e.account_id, e.request, e.resources, e.status, e.phase, e.rows_estimated, e.rows_extracted, e.rows_written,
  e.snapshot_kind, e.snapshot_reason, e.snapshot, e.start_lsn::text, e.sealed_lsn::text, e.cut_lsn::text, e.planned_at is not null or e.all_planned as all_planned, e.files, e.error,
  e.created_at, e.created_at::text as created_at_text, e.started_at, e.completed_at, e.expires_at,
  e.pause_expires_at, e.paused_ms,
  e.shown_progress, e.shown_eta_seconds,
  case when e.status in ('running', 'paused', 'cancelling') then (
    select sum(c.rows_planned)::bigint from export_chunks c where c.export_id = e.id and c.run_attempt = e.run_attempt
  ) end as rows_planned,
  case when e.status = 'pending' then (
    select count(*)::int from exports q
    where q.status = 'pending' and q.account_id = e.account_id and (q.created_at, q.id) <= (e.created_at, e.id)
  ) + (
    select count(*)::int from exports q
    where e.account_id is null and q.status = 'pending' and q.account_id is null
      and (q.created_at, q.id) <= (e.created_at, e.id)
  ) end as queue_position`;

export async function findExport(
  db: Queryable,
  accountId: string | null,
  id: string,
): Promise<ExportRow | undefined> {
  const { rows } = await db.query<StoredExportRow>({
    name: 'find_export',
    text: `select ${COLUMNS} from exports e where ${OF_ACCOUNT} and e.id = $2`,
    values: [accountId, id],
  });
  return rows[0] && withRequest(rows[0]);
}

export interface ExportFilter {
  readonly status?: string | undefined;
  readonly resource?: string | undefined;
  readonly format?: string | undefined;
  /** `check`: exports in the format digest. */
  readonly kind?: 'records' | 'check' | undefined;
}

/** Newest first. */
export async function listExports(
  db: Queryable,
  accountId: string | null,
  { status, resource, format, kind }: ExportFilter,
  after: Place | undefined,
  limit: number,
): Promise<ExportRow[]> {
  const values: unknown[] = [limit];
  const bind = (value: unknown) => `$${values.push(value)}`;
  const conditions = [
    accountId === null ? [] : [`e.account_id = ${bind(accountId)}`],
    status === undefined ? [] : [`e.status = ${bind(status)}`],
    format === undefined ? [] : [`coalesce(e.request->>'format', 'jsonl') = ${bind(format)}`],
    kind === undefined
      ? []
      : [`(coalesce(e.request->>'format', 'jsonl') = 'digest') = (${bind(kind)} = 'check')`],
    after === undefined ? [] : [`(e.created_at, e.id) < (${bind(after.at)}::timestamptz, ${bind(after.id)})`],
    resource === undefined ? [] : [`${bind(resource)} = any(e.resources)`],
  ];
  const { rows } = await db.query<StoredExportRow>({
    // Named, because planning it takes ten times as long as running it.
    name: `list_exports_${conditions.map(({ length }) => length).join('')}`,
    text: `select ${COLUMNS} from exports e where ${['true', ...conditions.flat()].join(' and ')}
     order by e.created_at desc, e.id desc limit $1`,
    values,
  });
  return rows.map(withRequest);
}

/** Exports of an account that wait in its queue or are paused. Null counts those of all accounts at once. */
export async function countWaitingExports(db: Queryable, accountId: string | null): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    `select count(*)::int as count from exports
     where (account_id = $1 or $1::text is null and account_id is null) and status in ('pending', 'paused')`,
    [accountId],
  );
  return rows[0]?.count ?? 0;
}

/** Rows per second of the last completed exports, over all accounts; null when there is none. */
export async function recentExportRate(db: Queryable): Promise<number | null> {
  const { rows } = await db.query<{ rate: number | null }>(
    `select (sum(rows_written) / nullif(sum(extract(epoch from completed_at - started_at) - paused_ms / 1000.0), 0))::float8 as rate
     from (select rows_written, completed_at, started_at, paused_ms from exports
           where status = 'completed' and started_at is not null and rows_written > 0
           order by created_at desc limit 20) last`,
  );
  return rows[0]?.rate ?? null;
}

/** @returns undefined for an unknown export; `accountId` is null for an export of all accounts */
export type ExportOwners = (exportId: string) => Promise<{ readonly accountId: string | null } | undefined>;

/** Cached exports. The oldest is dropped first. */
const MAX_REMEMBERED = 10_000;

/**
 * Caches the account of an export, which never changes. A link that is used often costs no query before its
 * account's limits apply.
 */
export function createExportOwners(db: Queryable): ExportOwners {
  const remembered = new Map<string, { accountId: string | null }>();
  return async (exportId) => {
    const known = remembered.get(exportId);
    if (known !== undefined) return known;
    const { rows } = await db.query<{ accountId: string | null }>(
      'select account_id as "accountId" from exports where id = $1',
      [exportId],
    );
    const [owner] = rows;
    if (owner === undefined) return undefined;
    const [oldest] = remembered.keys();
    if (oldest !== undefined && remembered.size >= MAX_REMEMBERED) remembered.delete(oldest);
    remembered.set(exportId, owner);
    return owner;
  };
}
