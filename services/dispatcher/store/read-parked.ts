import { parseLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Delivery } from './progress.ts';

interface ParkedRow {
  webhook_id: string;
  commit_lsn: string;
  idx: number;
  committed_at: string;
  record_key: string;
  attempt_count: number;
  next_attempt_at: Date | null;
  has_more: boolean;
}

/** Parked deliveries of these endpoints that are still to be made, by endpoint, in the order of their positions. */
export async function readParked(
  db: Queryable,
  endpointIds: readonly string[],
): Promise<Map<string, Delivery[]>> {
  const { rows } = await db.query<ParkedRow>({
    name: 'read_parked',
    text: `select webhook_id, commit_lsn, idx, committed_at::text, record_key, attempt_count, next_attempt_at, has_more
             from webhook_parked where webhook_id = any($1) and state = 'waiting'
            order by webhook_id, commit_lsn, idx`,
    values: [endpointIds],
  });
  const byEndpoint = new Map<string, Delivery[]>();
  for (const row of rows) {
    const list = byEndpoint.get(row.webhook_id) ?? [];
    byEndpoint.set(row.webhook_id, list);
    list.push({
      position: { commitLsn: parseLsn(row.commit_lsn), index: row.idx },
      committedAt: row.committed_at,
      type: undefined,
      resource: row.record_key.slice(0, row.record_key.indexOf('/')),
      record: row.record_key,
      payload: undefined,
      attemptCount: row.attempt_count,
      readAtMs: 0,
      inlineCharacters: 0,
      pending: undefined,
      nextAttemptAtMs: row.next_attempt_at?.getTime() ?? 0,
      hasMore: row.has_more,
    });
  }
  return byEndpoint;
}
