import type { Pool } from 'pg';
import { enqueueOutbox } from '../../../shared/control/enqueue-outbox.ts';
import type { Place } from '../../../shared/control/queue-place.ts';
import type { ExportRequest } from '../../../shared/domain/export-request.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';

export interface ExportFileRow {
  readonly name: string;
  /** Null: an archive. */
  readonly resource: string | null;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly path: string;
  /** What is in an archive. */
  readonly members?: readonly {
    readonly name: string;
    readonly resource: string;
    readonly rows: number;
    readonly bytes: number;
    readonly sha256: string;
  }[];
}

/** 64-bit numbers come as texts. */
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
  snapshot: { taken_at: string; lsn: string; xmin: string; xmax: string; xip: string[] } | null;
  start_lsn: string | null;
  sealed_lsn: string | null;
  planned_at: Date | null;
  files: ExportFileRow[] | null;
  error: { code: string; message: string } | null;
  queue_position: number | null;
  created_at: Date;
  created_at_text: string;
  started_at: Date | null;
  completed_at: Date | null;
  expires_at: Date | null;
}

export type ExportStatus =
  | 'pending'
  | 'running'
  | 'cancelling'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'expired';

/** `$1` is the account in each statement; null finds exports of every account, and those of all accounts at once. */
const OF_ACCOUNT = '($1::text is null or e.account_id = $1)';

const COLUMNS = `
  e.id, e.account_id, e.request, e.resources, e.status, e.phase, e.rows_estimated, e.rows_extracted, e.rows_written,
  e.snapshot, e.start_lsn::text, e.sealed_lsn::text, e.planned_at, e.files, e.error,
  e.created_at, e.created_at::text as created_at_text, e.started_at, e.completed_at, e.expires_at,
  case when e.status in ('running', 'cancelling') then (
    select sum(c.rows_planned)::bigint from export_chunks c where c.export_id = e.id and c.run_attempt = e.run_attempt
  ) end as rows_planned,
  case when e.status = 'pending' then (
    select count(*)::int from exports q
    where q.status = 'pending' and q.account_id is not distinct from e.account_id
      and (q.created_at, q.id) <= (e.created_at, e.id)
  ) end as queue_position`;

export async function findExport(
  db: Queryable,
  accountId: string | null,
  id: string,
): Promise<ExportRow | undefined> {
  const { rows } = await db.query<ExportRow>({
    name: 'find_export',
    text: `select ${COLUMNS} from exports e where ${OF_ACCOUNT} and e.id = $2`,
    values: [accountId, id],
  });
  return rows[0];
}

/** Newest first. */
export async function listExports(
  db: Queryable,
  accountId: string | null,
  status: string | undefined,
  after: Place | undefined,
  limit: number,
): Promise<ExportRow[]> {
  const { rows } = await db.query<ExportRow>(
    `select ${COLUMNS} from exports e
     where ${OF_ACCOUNT} and ($2::text is null or e.status = $2)
       and ($3::text is null or (e.created_at, e.id) < ($3::timestamptz, $4::text))
     order by e.created_at desc, e.id desc limit $5`,
    [accountId, status ?? null, after?.at ?? null, after?.id ?? null, limit],
  );
  return rows;
}

export interface NewExport {
  readonly id: string;
  /** Null: all accounts at once. */
  readonly accountId: string | null;
  readonly request: ExportRequest;
  readonly resources: readonly string[];
  readonly rowsEstimated: number | null;
}

/** Makes the job and what tells the extractors of it. Call it in a transaction: a broker that is down loses no job. */
export async function insertExport(db: Queryable, job: NewExport): Promise<void> {
  await db.query(
    `insert into exports (id, account_id, request, resources, status, phase, rows_estimated)
     values ($1, $2, $3, $4, 'pending', 'queued', $5)`,
    [job.id, job.accountId, JSON.stringify(job.request), job.resources, job.rowsEstimated],
  );
  await enqueueOutbox(db, [
    { topic: 'commands', key: job.id, type: 'ExtractExport', payload: { job_id: job.id } },
    {
      topic: 'jobs',
      key: job.id,
      type: 'JobCreated',
      payload: { job_id: job.id, kind: 'export', account_id: job.accountId },
    },
  ]);
}

/** Jobs of one account that wait or run, oldest first. Until the transaction ends no other request of it adds one. */
export async function lockActiveExports(
  db: Queryable,
  accountId: string | null,
): Promise<{ id: string; status: string }[]> {
  await db.query(`select pg_advisory_xact_lock(hashtextextended('tandem.exports.' || $1, 0))`, [
    accountId ?? '*',
  ]);
  const { rows } = await db.query<{ id: string; status: string }>(
    `select id, status from exports
     where account_id is not distinct from $1 and status in ('pending', 'running', 'cancelling')
     order by created_at, id`,
    [accountId],
  );
  return rows;
}

/**
 * Asks a job to stop. What waits is cancelled at once; what runs is told to, and ends when nobody holds it any longer.
 * The row is locked first, so that of a cancel and a completion at the same time exactly one wins.
 *
 * @returns the status after it, which is unchanged for a job that has ended; undefined when there is no such job
 */
export function cancelExport(
  pool: Pool,
  accountId: string | null,
  id: string,
): Promise<ExportStatus | undefined> {
  return inTransaction(pool, async (db) => {
    const { rows } = await db.query<{ status: ExportStatus }>(
      `select e.status from exports e where ${OF_ACCOUNT} and e.id = $2 for update`,
      [accountId, id],
    );
    const status = rows[0]?.status;
    if (status === 'pending') {
      await db.query(
        `update exports set status = 'cancelled', phase = 'done', completed_at = clock_timestamp() where id = $1`,
        [id],
      );
      await enqueueOutbox(db, [
        { topic: 'jobs', key: id, type: 'JobCancelled', payload: { job_id: id, kind: 'export' } },
      ]);
      return 'cancelled';
    }
    if (status === 'running') {
      await db.query(`update exports set status = 'cancelling' where id = $1`, [id]);
      await enqueueOutbox(db, [{ topic: 'commands', key: id, type: 'CancelJob', payload: { job_id: id } }]);
      return 'cancelling';
    }
    return status;
  });
}

/** Takes a completed export's files away for good; only then may they be deleted. Other states stay as they are. */
export async function expireExport(db: Queryable, id: string): Promise<void> {
  await db.query(
    `update exports set status = 'expired', expires_at = least(expires_at, now()) where id = $1 and status = 'completed'`,
    [id],
  );
}

/** Rows a second of the exports completed last, over all accounts; null when there was none. */
export async function recentExportRate(db: Queryable): Promise<number | null> {
  const { rows } = await db.query<{ rate: number | null }>(
    `select (sum(rows_written) / nullif(sum(extract(epoch from completed_at - started_at)), 0))::float8 as rate
     from (select rows_written, completed_at, started_at from exports
           where status = 'completed' and started_at is not null and rows_written > 0
           order by created_at desc limit 20) last`,
  );
  return rows[0]?.rate ?? null;
}
