import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { ChunkTry } from '../rows/chunk-try.ts';

/** What has to be known of a chunk before its first row is written. */
export interface CurrentChunk {
  readonly rowsPlanned: number;
  /** The format that its export asks for, by its name. */
  readonly format: string | null;
  /** The columns that its file has; null for all. */
  readonly fields: readonly string[] | null;
}

/** @returns undefined unless this try is the one that counts, and is not written yet */
export async function findCurrentChunk(
  db: Queryable,
  { exportId, resource, chunk, attempt }: ChunkTry,
): Promise<CurrentChunk | undefined> {
  const { rows } = await db.query<{ rows_planned: string; format: string | null; fields: string[] | null }>({
    name: 'find_current_chunk',
    text: `select c.rows_planned, e.request->>'format' as format,
             nullif(e.request->'fields', 'null') as fields
           from export_chunks c join exports e on e.id = c.export_id
           where c.export_id = $1 and c.resource = $2 and c.chunk = $3 and c.attempt = $4
             and c.rows_written is null and e.status = 'running'`,
    values: [exportId, resource, chunk, attempt],
  });
  const row = rows[0];
  if (row === undefined) return undefined;
  return { rowsPlanned: Number(row.rows_planned), format: row.format, fields: row.fields };
}

/** Of many tries at once: whether each still counts, in their order. */
export async function findCurrentChunks(
  db: Queryable,
  tries: readonly ChunkTry[],
): Promise<{ isCurrent: boolean; isExtracted: boolean }[]> {
  const { rows } = await db.query<{ is_current: boolean; is_extracted: boolean }>({
    name: 'find_current_chunks',
    text: `select coalesce(c.rows_written is null and e.status = 'running', false) as is_current,
                  coalesce(c.state = 'extracted', false) as is_extracted
           from unnest($1::text[], $2::text[], $3::integer[], $4::integer[])
                  with ordinality as t (export_id, resource, chunk, attempt, place)
           left join export_chunks c on (c.export_id, c.resource, c.chunk, c.attempt)
                                      = (t.export_id, t.resource, t.chunk, t.attempt)
           left join exports e on e.id = c.export_id
           order by place`,
    values: [
      tries.map(({ exportId }) => exportId),
      tries.map(({ resource }) => resource),
      tries.map(({ chunk }) => chunk),
      tries.map(({ attempt }) => attempt),
    ],
  });
  return rows.map((row) => ({ isCurrent: row.is_current, isExtracted: row.is_extracted }));
}
