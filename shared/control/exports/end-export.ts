import type { Queryable } from '../../postgres/queryable.ts';

/** Why an export failed: `code` for programs, `message` for the customer, without anything of the records. */
export interface ExportFailure {
  readonly code: string;
  readonly message: string;
}

const FAIL_EXPORT = `
with ended as (
  update exports set status = 'failed', phase = 'done', completed_at = now(),
    error = jsonb_build_object('code', $3::text, 'message', $4::text),
    lease_owner = null, lease_expires_at = null
  where id = $1 and status = 'running' and run_attempt = $2
  returning id
)
insert into outbox (topic, key, type, payload)
select 'jobs', id, 'JobFailed',
  jsonb_build_object('job_id', id, 'kind', 'export', 'code', $3::text, 'message', $4::text)
from ended`;

/**
 * Ends a running export as failed, with its `JobFailed`. An export that has ended, is being cancelled, or is in a later
 * run than `runAttempt` stays as it is, so a late caller never moves a final state.
 *
 * @returns whether this call ended it
 */
export async function failExport(
  db: Queryable,
  exportId: string,
  runAttempt: number,
  { code, message }: ExportFailure,
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'fail_export',
    text: FAIL_EXPORT,
    values: [exportId, runAttempt, code, message],
  });
  return rowCount === 1;
}

/** An export whose holder and readers have let go, or have died. */
const END_CANCELLED = `
with ended as (
  update exports e set status = 'cancelled', phase = 'done', completed_at = now(),
    lease_owner = null, lease_expires_at = null
  where e.status = 'cancelling'
    and (e.lease_owner is null or e.lease_expires_at < now())
    and not exists (
      select from export_chunks c
      where c.export_id = e.id and c.state = 'reading' and c.lease_expires_at >= now()
    )
  returning id
)
insert into outbox (topic, key, type, payload)
select 'jobs', id, 'JobCancelled', jsonb_build_object('job_id', id, 'kind', 'export')
from ended
returning key`;

/**
 * Ends every cancelling export that nobody holds any longer, with its `JobCancelled`. Safe to call from many
 * processes at once. What the export had written is the writer's to remove.
 *
 * @returns the IDs of those ended now
 */
export async function endCancelledExports(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ key: string }>({ name: 'end_cancelled_exports', text: END_CANCELLED });
  return rows.map((row) => row.key);
}
