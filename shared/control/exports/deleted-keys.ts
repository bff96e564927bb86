import type { Queryable } from '../../postgres/queryable.ts';
import type { ClaimedAssembly } from './claim-assembly.ts';

/**
 * The keys that an export of changes tells of, of one resource. Those in no chunk are deleted; but for those that the earlier
 * export did not have either.
 */
export interface DeletedKeys {
  count(): Promise<{ readonly keyCount: number; readonly deletedCount: number }>;
  /** Record keys of deleted records in order of key, some thousands at a time. */
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
