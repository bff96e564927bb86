import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** Looking through so many events takes a fraction of a second; beyond, the estimate is of the least. */
const MAX_EVENTS = 20_000;

/** About what an event has around its record. */
const ENVELOPE_BYTES = 300;

const ESTIMATE = `
select count(distinct (v.resource, v.record_key))::float8 as rows, coalesce(avg(v.bytes), 0)::float8 as event_bytes
from (
  select e.resource, e.record_key, pg_column_size(e.payload) as bytes
  from exports base
  join events e on e.account_id = base.account_id and e.commit_lsn > base.start_lsn
  where base.id = $1 and e.resource = any($2) and e.type <> 'feed.reset'
  limit ${MAX_EVENTS}
) v`;

/** What an export of the changes since that export would come to, as far as they are recorded by now. */
export async function estimateChanges(
  db: Queryable,
  exportId: string,
  resources: readonly string[],
): Promise<{ rows: number; bytes: number }> {
  const { rows } = await db.query<{ rows: number; event_bytes: number }>(ESTIMATE, [exportId, resources]);
  const { rows: rowCount = 0, event_bytes: eventBytes = 0 } = rows[0] ?? {};
  return { rows: rowCount, bytes: Math.round(rowCount * Math.max(0, eventBytes - ENVELOPE_BYTES)) };
}
