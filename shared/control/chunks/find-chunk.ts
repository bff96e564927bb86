import type { Queryable } from '../../postgres/queryable.ts';
import type { ChunkAttempt } from './chunk-attempt.ts';

/** What has to be known of a chunk before its first row is written. */
export interface CurrentChunk {
  readonly rowsPlanned: number;
  /** The format that its export asks for, by its name. */
  readonly format: string | null;
  /** The columns that its file has; null for all. */
  readonly fields: readonly string[] | null;
}

const TRIES = `unnest($1::text[], $2::text[], $3::integer[], $4::integer[])
                  with ordinality as t (export_id, resource, chunk, attempt, place)`;

const toArrays = (tries: readonly ChunkAttempt[]) => [
  tries.map(({ exportId }) => exportId),
  tries.map(({ resource }) => resource),
  tries.map(({ chunk }) => chunk),
  tries.map(({ attempt }) => attempt),
];

/** In the order of the tries. Undefined for one that does not count, or is written already. */
export async function findOpenChunks(
  db: Queryable,
  tries: readonly ChunkAttempt[],
): Promise<(CurrentChunk | undefined)[]> {
  const { rows } = await db.query<{
    rows_planned: string | null;
    format: string | null;
    fields: string[] | null;
  }>({
    name: 'find_open_chunks',
    text: `select case when e.id is not null then c.rows_planned end as rows_planned, e.request->>'format' as format,
                  nullif(e.request->'fields', 'null') as fields
           from ${TRIES}
           left join export_chunks c on (c.export_id, c.resource, c.chunk, c.attempt)
                                      = (t.export_id, t.resource, t.chunk, t.attempt) and c.rows_written is null
           left join exports e on e.id = c.export_id and e.status = 'running'
           order by place`,
    values: toArrays(tries),
  });
  return rows.map(({ rows_planned: rowsPlanned, format, fields }) =>
    rowsPlanned === null ? undefined : { rowsPlanned: Number(rowsPlanned), format, fields },
  );
}

/** Of many tries at once: whether each still counts, in their order. */
export async function findCurrentChunks(
  db: Queryable,
  tries: readonly ChunkAttempt[],
): Promise<{ isCurrent: boolean; isExtracted: boolean }[]> {
  const { rows } = await db.query<{ is_current: boolean; is_extracted: boolean }>({
    name: 'find_current_chunks',
    text: `select coalesce(c.rows_written is null and e.status = 'running', false) as is_current,
                  coalesce(c.state = 'extracted', false) as is_extracted
           from ${TRIES}
           left join export_chunks c on (c.export_id, c.resource, c.chunk, c.attempt)
                                      = (t.export_id, t.resource, t.chunk, t.attempt)
           left join exports e on e.id = c.export_id
           order by place`,
    values: toArrays(tries),
  });
  return rows.map((row) => ({ isCurrent: row.is_current, isExtracted: row.is_extracted }));
}

/** No more are looked at in one round; the oldest exports come first. */
const MAX_CHUNKS = 200;

/** Chunks of running exports whose rows are all acknowledged by the topic, but not in a part yet. */
export async function findUnwrittenChunks(db: Queryable): Promise<ChunkAttempt[]> {
  const { rows } = await db.query<{ export_id: string; resource: string; chunk: number; attempt: number }>({
    name: 'find_unwritten_chunks',
    text: `select c.export_id, c.resource, c.chunk, c.attempt
           from exports e join export_chunks c on c.export_id = e.id
           where e.status = 'running' and c.state = 'extracted' and c.rows_written is null
           order by e.created_at, c.resource, c.chunk
           limit ${MAX_CHUNKS}`,
  });
  return rows.map(({ export_id: exportId, resource, chunk, attempt }) => ({
    exportId,
    resource,
    chunk,
    attempt,
  }));
}
