import type { BulkStatus } from '../../domain/bulk.ts';
import type { Queryable } from '../../postgres/queryable.ts';

/** What asking a job for something came to: its status after it, or undefined when there is no such job. */
export type Asked = BulkStatus | undefined;

/** The job's row is locked until the transaction ends. */
export async function lockJob(db: Queryable, accountId: string | null, id: string): Promise<Asked> {
  const { rows } = await db.query<{ status: BulkStatus }>(
    `select j.status from bulk_jobs j where ($1::text is null or j.account_id = $1) and j.id = $2 for update`,
    [accountId, id],
  );
  return rows[0]?.status;
}

export function isEnded(status: BulkStatus): boolean {
  return status === 'cancelled' || status === 'completed' || status === 'failed';
}
