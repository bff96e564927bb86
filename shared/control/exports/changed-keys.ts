import type { Queryable } from '../../postgres/queryable.ts';
import type { ClaimedAssembly } from './assembly.ts';

// The keys that a changes-since export stores in `export_keys`: which records were deleted, and how the keys are
// removed.

/** The deleted keys of one resource. They are in no chunk, and the earlier export had them. */
export interface DeletedKeys {
  count(): Promise<{ readonly keyCount: number; readonly deletedCount: number }>;
  /** Record keys in key order, some thousands per page. */
  pages(): AsyncIterable<readonly string[]>;
}

const PAGE_KEYS = 5_000;

const IS_TOLD = '(chunk is not null or was_in is not false)';

export function readDeletedKeys(
  db: Queryable,
  { exportId, runAttempt }: Pick<ClaimedAssembly, 'exportId' | 'runAttempt'>,
  resource: string,
): DeletedKeys {
  const values = [exportId, runAttempt, resource];
  return {
    async count() {
      const { rows } = await db.query<{ key_count: string; deleted_count: string }>(
        `select count(*) as key_count, count(*) filter (where chunk is null) as deleted_count
         from export_keys where export_id = $1 and run_attempt = $2 and resource = $3 and ${IS_TOLD}`,
        values,
      );
      return { keyCount: Number(rows[0]?.key_count), deletedCount: Number(rows[0]?.deleted_count) };
    },
    async *pages() {
      let after = '-1';
      for (;;) {
        const { rows } = await db.query<{ place: string; record_key: string }>(
          `select place, record_key from export_keys
           where export_id = $1 and run_attempt = $2 and resource = $3 and chunk is null and ${IS_TOLD} and place > $4
           order by place limit ${PAGE_KEYS}`,
          [...values, after],
        );
        const last = rows.at(-1);
        if (last === undefined) return;
        yield rows.map((row) => row.record_key);
        after = last.place;
      }
    },
  };
}

/** Keys removed per call: a fraction of a second, so that claims are not delayed. */
const KEYS_AT_ONCE = 10_000;

/** Chunks whose keys are removed per call. Those of one chunk may be a megabyte. */
const CHUNKS_AT_ONCE = 100;

/**
 * Reports the end only when it finds nothing: rows that this statement deletes are still visible to its last condition.
 */
const SWEEP = `
with ended as (
  select id from exports where has_keys and status in ('completed', 'failed', 'cancelled', 'expired')
  limit 1 for update skip locked
), gone as (
  delete from export_keys where ctid = any (array(
    select k.ctid from export_keys k join ended on ended.id = k.export_id limit ${KEYS_AT_ONCE}))
), emptied as (
  update export_chunks set record_keys = null where ctid = any (array(
    select c.ctid from export_chunks c join ended on ended.id = c.export_id
    where c.record_keys is not null limit ${CHUNKS_AT_ONCE}))
)
update exports e set has_keys = false
where id in (select id from ended)
  and not exists (select from export_keys k where k.export_id = e.id)
  and not exists (select from export_chunks c where c.export_id = e.id and c.record_keys is not null)`;

/** Removes some keys of an ended export. Several processes may call it at once. */
export async function sweepKeys(db: Queryable): Promise<void> {
  await db.query({ name: 'sweep_export_keys', text: SWEEP });
}

/** Marks the export so that its keys are removed in the end. Call it before any is inserted. */
export async function announceKeys(db: Queryable, exportId: string): Promise<void> {
  await db.query({
    name: 'announce_export_keys',
    text: 'update exports set has_keys = true where id = $1',
    values: [exportId],
  });
}
