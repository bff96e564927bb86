import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** A job that has not ended. */
interface ActiveJobRow {
  id: string;
  status: string;
  /** From 1; null for a job that has its turn. */
  queue_position: number | null;
  created_at: Date;
}

export interface ActiveExportRow extends ActiveJobRow {
  resources: string[];
  format: string;
}

export interface ActiveBulkRow extends ActiveJobRow {
  resource: string;
  operation: string;
  processed: number;
  /** An estimate until the items are listed. */
  total: number;
}

/** Jobs of an account that have not ended. The counts cover all of them. */
export interface ActiveJobs<Row extends ActiveJobRow> {
  readonly running: number;
  readonly queued: number;
  readonly paused: number;
  readonly jobs: readonly Row[];
}

/** Limit of jobs that a response shows: first those that are not queued, then the queue in order. */
export const MAX_SHOWN_JOBS = 100;

/** `active` selects id, status, created_at, whether the job is queued, and what else is shown. */
const activeJobs = (active: string) => `
with active as (${active}), placed as (
  select active.*,
    case when is_queued then row_number() over (partition by is_queued order by created_at, id)::int end as queue_position,
    count(*) filter (where is_queued) over ()::int as queued,
    count(*) filter (where status = 'paused') over ()::int as paused,
    count(*) filter (where not is_queued and status <> 'paused') over ()::int as running
  from active
)
select * from placed
order by is_queued, created_at, id limit ${MAX_SHOWN_JOBS}`;

const ACTIVE_EXPORTS = activeJobs(`
  select id, status, created_at, status = 'pending' as is_queued, resources,
    coalesce(request ->> 'format', 'jsonl') as format
  from exports
  where account_id = $1 and status in ('pending', 'running', 'paused', 'cancelling')`);

/** A job whose items are being listed is pending and not queued. */
const ACTIVE_BULK_JOBS = activeJobs(`
  select id, status, created_at, status = 'pending' and admitted_at is null as is_queued, resource, operation,
    processed::float8 as processed, greatest(coalesce(total, estimated), processed)::float8 as total
  from bulk_jobs
  where account_id = $1 and status in ('pending', 'running', 'paused')`);

export function findActiveExports(db: Queryable, accountId: string): Promise<ActiveJobs<ActiveExportRow>> {
  return readActiveJobs(db, 'active_exports', ACTIVE_EXPORTS, accountId);
}

export function findActiveBulkJobs(db: Queryable, accountId: string): Promise<ActiveJobs<ActiveBulkRow>> {
  return readActiveJobs(db, 'active_bulk_jobs', ACTIVE_BULK_JOBS, accountId);
}

async function readActiveJobs<Row extends ActiveJobRow>(
  db: Queryable,
  name: string,
  text: string,
  accountId: string,
): Promise<ActiveJobs<Row>> {
  const { rows } = await db.query<Row & { queued: number; paused: number; running: number }>({
    name,
    text,
    values: [accountId],
  });
  const { running = 0, queued = 0, paused = 0 } = rows[0] ?? {};
  return { running, queued, paused, jobs: rows };
}

/** Webhook endpoints of an account by status. */
export async function countWebhooks(
  db: Queryable,
  accountId: string,
): Promise<{ active: number; paused: number; disabled: number }> {
  const { rows } = await db.query<{ status: string; count: number }>(
    'select status, count(*)::int as count from webhooks where account_id = $1 group by status',
    [accountId],
  );
  return {
    ...{ active: 0, paused: 0, disabled: 0 },
    ...Object.fromEntries(rows.map(({ status, count }) => [status, count])),
  };
}

/** The name that the operator gave to a key. */
export async function findKeyName(db: Queryable, keyId: string): Promise<string | null> {
  const { rows } = await db.query<{ name: string | null }>('select name from api_keys where id = $1', [
    keyId,
  ]);
  return rows[0]?.name ?? null;
}
