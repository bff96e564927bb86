import type { Queryable } from '../../postgres/queryable.ts';

/** Removed by one call: a fraction of a second, so that whoever claims work is not held up. */
const KEYS_AT_ONCE = 10_000;

const SWEEP = `
with ended as (
  select id from exports where has_keys and status in ('completed', 'failed', 'cancelled', 'expired') limit 1
), gone as (
  delete from export_keys where ctid = any (array(
    select k.ctid from export_keys k join ended on ended.id = k.export_id limit ${KEYS_AT_ONCE}))
  returning 1
)
update exports set has_keys = false
where id in (select id from ended) and (select count(*) from gone) < ${KEYS_AT_ONCE}`;

/** Removes keys of an export of changes that has ended, some at a time. Safe to call from many processes at once. */
export async function sweepKeys(db: Queryable): Promise<void> {
  await db.query({ name: 'sweep_export_keys', text: SWEEP });
}

/** Has the export's keys swept in the end. Call it before any is inserted. */
export async function announceKeys(db: Queryable, exportId: string): Promise<void> {
  await db.query({
    name: 'announce_export_keys',
    text: 'update exports set has_keys = true where id = $1',
    values: [exportId],
  });
}
