import type { RecentError } from '../../../shared/bulk/ledger.ts';
import { isEnded } from '../../../shared/control/bulk/pause-job.ts';
import type { BulkRequest, BulkStatus } from '../../../shared/domain/bulk.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Place } from '../http/paging.ts';

/** 64-bit numbers are texts. */
export interface BulkJobRow {
  id: string;
  account_id: string;
  resource: string;
  operation: string;
  semantics: BulkRequest['semantics'];
  status: BulkStatus;
  pause_reason: 'requested' | 'quota' | 'handler' | 'feed' | null;
  resumes_at: Date | null;
  ending: string | null;
  error: { code: string; message: string } | null;
  total: string | null;
  estimated: string;
  processed: string;
  succeeded: string;
  failed: string;
  skipped: string;
  error_counts: Record<string, number>;
  recent_errors: RecentError[];
  rate: number | null;
  queue_position: number | null;
  created_at: Date;
  created_at_text: string;
  started_at: Date | null;
  last_updated_at: Date;
  ended_at: Date | null;
}

/** `$1` is the account in each statement. Null finds jobs of every account. */
const OF_ACCOUNT = '($1::text is null or j.account_id = $1)';

const COLUMNS = `
  j.id, j.account_id, j.resource, j.operation, j.semantics, j.status, j.pause_reason, j.resumes_at, j.ending, j.error, j.total,
  j.estimated, j.processed, j.succeeded, j.failed, j.skipped, j.error_counts, j.recent_errors, j.rate,
  j.created_at, j.created_at::text as created_at_text, j.started_at, j.last_updated_at, j.ended_at,
  case when j.status = 'pending' and j.admitted_at is null then (
    select count(*)::int from bulk_jobs q
    where q.status = 'pending' and q.admitted_at is null and q.account_id = j.account_id and (q.created_at, q.id) <= (j.created_at, j.id)
  ) end as queue_position`;

/** @throws AppError `not_found` */
export async function requireBulkJob(
  db: Queryable,
  accountId: string | null,
  id: string,
): Promise<BulkJobRow> {
  const { rows } = await db.query<BulkJobRow>({
    name: 'find_bulk_job',
    text: `select ${COLUMNS} from bulk_jobs j where ${OF_ACCOUNT} and j.id = $2`,
    values: [accountId, id],
  });
  const [row] = rows;
  if (row === undefined) throw noBulkJob(id);
  return row;
}

export function noBulkJob(id: string): AppError {
  return new AppError('not_found', `There is no bulk job ${id}.`);
}

/** Newest first. */
export async function listBulkJobs(
  db: Queryable,
  accountId: string | null,
  status: string | undefined,
  after: Place | undefined,
  limit: number,
): Promise<BulkJobRow[]> {
  const { rows } = await db.query<BulkJobRow>(
    `select ${COLUMNS} from bulk_jobs j
     where ${OF_ACCOUNT} and ($2::text is null or j.status = $2)
       and ($3::text is null or (j.created_at, j.id) < ($3::timestamptz, $4::text))
     order by j.created_at desc, j.id desc limit $5`,
    [accountId, status ?? null, after?.at ?? null, after?.id ?? null, limit],
  );
  return rows;
}

/** Results before this number are final, so that their pages never change. Undefined: all results are final. */
export async function finalUntil(db: Queryable, job: BulkJobRow): Promise<number | undefined> {
  if (isEnded(job.status)) return undefined;
  const { rows } = await db.query<{ seq: number | null }>(
    `select case when j.listed_at is null then j.listed_items::int
       else least(
         (select c.first_seq from bulk_chunks c where c.job_id = j.id and c.state = 'waiting' order by c.chunk limit 1),
         (select min(c.first_seq) from bulk_chunks c where c.job_id = j.id and c.state = 'working')) end as seq
     from bulk_jobs j where j.id = $1`,
    [job.id],
  );
  return rows[0]?.seq ?? undefined;
}

/** Items per second of the last completed jobs of an operation; null when there is none. */
export async function recentBulkRate(
  db: Queryable,
  resource: string,
  operation: string,
): Promise<number | null> {
  const { rows } = await db.query<{ rate: number | null }>(
    `select (sum(processed) / nullif(sum(extract(epoch from ended_at - started_at)), 0))::float8 as rate
     from (select processed, ended_at, started_at from bulk_jobs
           where status = 'completed' and resource = $1 and operation = $2 and processed > 0
           order by created_at desc limit 10) last`,
    [resource, operation],
  );
  return rows[0]?.rate ?? null;
}
