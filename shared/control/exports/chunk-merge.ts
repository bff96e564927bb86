import type { Queryable } from '../../postgres/queryable.ts';
import type { ClaimedAssembly } from './assembly.ts';

// How the files of a chunked export differ from its parts. The extractor finds it, and the writer merges it.

/** The place of a changed record in its chunk's part. */
export interface MergePoint {
  /** From 0: the row with the record's key, or the row before which the record belongs. */
  readonly partRow: number;
  /** Whether the part has the key. */
  readonly isInPart: boolean;
}

/** Stores the places of a resource's changed records, by their number among its keys, with their order in the file. */
export async function saveMergePoints(
  db: Queryable,
  { id, runAttempt }: { readonly id: string; readonly runAttempt: number },
  resource: string,
  points: readonly (MergePoint & { readonly place: number; readonly mergePlace: number })[],
): Promise<void> {
  const { rowCount } = await db.query(
    `update export_keys k set part_row = n.part_row, was_in = n.was_in, merge_place = n.merge_place
     from unnest($4::bigint[], $5::bigint[], $6::boolean[], $7::bigint[]) as n(place, part_row, was_in, merge_place)
     where k.export_id = $1 and k.run_attempt = $2 and k.resource = $3 and k.place = n.place`,
    [
      id,
      runAttempt,
      resource,
      points.map(({ place }) => place),
      points.map(({ partRow }) => partRow),
      points.map(({ isInPart }) => isInPart),
      points.map(({ mergePlace }) => mergePlace),
    ],
  );
  if (rowCount !== points.length) throw new Error(`changed keys of ${resource} are gone`);
}

/** A record that differs between the file and the parts. */
export interface MergedRecord extends MergePoint {
  readonly chunk: number;
  /** A JSON array of the key columns' wire texts. */
  readonly recordKey: string;
  /**
   * Wire texts in column order; false for a value to be taken from the part. Null: the file does not have the record.
   */
  readonly image: readonly (string | null | false)[] | null;
}

/** How the files of one resource differ from its parts. */
export interface ChunkMerge {
  /** Counted by the control store. */
  count(): Promise<{ readonly created: number; readonly removed: number }>;
  /** In the order of the file. */
  records(): AsyncIterable<MergedRecord>;
}

/** Records in memory at once. Each is a whole record. */
const PAGE_RECORDS = 500;

export function readChunkMerge(
  db: Queryable,
  { exportId, runAttempt }: Pick<ClaimedAssembly, 'exportId' | 'runAttempt'>,
  resource: string,
): ChunkMerge {
  const values = [exportId, runAttempt, resource];
  return {
    async count() {
      const { rows } = await db.query<{ created: string; removed: string }>(
        `select count(*) filter (where not was_in) as created, count(*) filter (where was_in and not is_in) as removed
         from export_keys where export_id = $1 and run_attempt = $2 and resource = $3 and merge_place is not null`,
        values,
      );
      return { created: Number(rows[0]?.created), removed: Number(rows[0]?.removed) };
    },
    async *records() {
      for (let after = '-1'; ; ) {
        const { rows } = await db.query<{
          merge_place: string;
          chunk: number;
          part_row: string;
          was_in: boolean;
          record_key: string;
          image: string | null;
        }>(
          `select k.merge_place::text, chunk, part_row::text, was_in, record_key, case when is_in then image end as image
           from export_keys k where export_id = $1 and run_attempt = $2 and resource = $3 and k.merge_place > $4
           order by k.merge_place limit ${PAGE_RECORDS}`,
          [...values, after],
        );
        const last = rows.at(-1);
        if (last === undefined) return;
        for (const row of rows) {
          yield {
            chunk: row.chunk,
            partRow: Number(row.part_row),
            isInPart: row.was_in,
            recordKey: row.record_key,
            image: row.image === null ? null : JSON.parse(row.image),
          };
        }
        after = last.merge_place;
      }
    },
  };
}
