import type { Queryable } from '../../postgres/queryable.ts';

// Attempts at chunks, as the writer reads and records them.

/** One attempt at a chunk. Row headers name it, and it fences writes in the control store. */
export interface ChunkAttempt {
  readonly exportId: string;
  readonly resource: string;
  readonly chunk: number;
  readonly attempt: number;
}

export function chunkAttemptKey({ exportId, resource, chunk, attempt }: ChunkAttempt): string {
  return `${exportId}/${resource}/${chunk}/${attempt}`;
}

/** What the writer needs before a chunk's first row. */
export interface CurrentChunk {
  readonly rowsPlanned: number;
  /** The name of the export's format. */
  readonly format: string | null;
  /** The columns of its file; null for all. */
  readonly fields: readonly string[] | null;
}

const TRIES = `unnest($1::text[], $2::text[], $3::integer[], $4::integer[])
                  with ordinality as t (export_id, resource, chunk, attempt, place)`;

/** Attempts whose rows are written: those of a running export, and those that were read before an export was paused. */
const COUNTS = `(e.status = 'running' or e.status in ('paused', 'pending') and c.state = 'extracted')`;

const toArrays = (tries: readonly ChunkAttempt[]) => [
  tries.map(({ exportId }) => exportId),
  tries.map(({ resource }) => resource),
  tries.map(({ chunk }) => chunk),
  tries.map(({ attempt }) => attempt),
];

/** In the order of the attempts. Undefined for one that no longer counts or is already written. */
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
           left join exports e on e.id = c.export_id and ${COUNTS}
           order by place`,
    values: toArrays(tries),
  });
  return rows.map(({ rows_planned: rowsPlanned, format, fields }) =>
    rowsPlanned === null ? undefined : { rowsPlanned: Number(rowsPlanned), format, fields },
  );
}

/** Whether each of many attempts still counts, in their order. */
export async function findCurrentChunks(
  db: Queryable,
  tries: readonly ChunkAttempt[],
): Promise<{ isCurrent: boolean; isExtracted: boolean }[]> {
  const { rows } = await db.query<{ is_current: boolean; is_extracted: boolean }>({
    name: 'find_current_chunks',
    text: `select coalesce(c.rows_written is null and ${COUNTS}, false) as is_current,
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

/** Limit per round; the oldest exports come first. */
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

export interface WrittenPart {
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  readonly schemaId: number;
}

/** Locks a chunk's rows in the same order as extractors do, so that the two can't deadlock. */
const RECORD_WRITTEN = `
with part as (
  select * from unnest($1::text[], $2::text[], $3::integer[], $4::integer[], $5::bigint[], $6::text[], $7::bigint[], $8::integer[])
    as p (export_id, resource, chunk, attempt, rows, path, bytes, schema_id)
), held as (
  select p.* from part p
  join export_chunks c on (c.export_id, c.resource, c.chunk, c.attempt) = (p.export_id, p.resource, p.chunk, p.attempt)
  join exports e on e.id = c.export_id and ${COUNTS}
  where c.rows_written is null or c.part_name = p.path
  order by c.export_id, c.resource, c.chunk for no key update of c
)
update export_chunks c
set rows_written = h.rows, part_name = h.path, bytes_written = h.bytes, schema_id = h.schema_id, written_at = coalesce(c.written_at, now())
from held h
where (c.export_id, c.resource, c.chunk, c.attempt) = (h.export_id, h.resource, h.chunk, h.attempt)
returning h.path`;

/**
 * Records durable parts, each if its attempt still counts and no other writer was first. Repeating it is harmless, so
 * it may be retried after a lost response.
 *
 * @returns for each whether it is recorded; if not, nobody will ever read the part
 */
export async function recordChunksWritten(
  db: Queryable,
  written: readonly { readonly chunkAttempt: ChunkAttempt; readonly part: WrittenPart }[],
): Promise<boolean[]> {
  const { rows } = await db.query<{ path: string }>({
    name: 'record_chunks_written',
    text: RECORD_WRITTEN,
    values: [
      written.map(({ chunkAttempt }) => chunkAttempt.exportId),
      written.map(({ chunkAttempt }) => chunkAttempt.resource),
      written.map(({ chunkAttempt }) => chunkAttempt.chunk),
      written.map(({ chunkAttempt }) => chunkAttempt.attempt),
      written.map(({ part }) => part.rows),
      written.map(({ part }) => part.path),
      written.map(({ part }) => part.bytes),
      written.map(({ part }) => part.schemaId),
    ],
  });
  const noted = new Set(rows.map(({ path }) => path));
  return written.map(({ part }) => noted.has(part.path));
}

/**
 * Updates the progress of exports from their chunks. It never decreases, even when a new run reads its chunks again. An
 * export whose row is locked is skipped, so that the others do not wait for it.
 *
 * @returns those that were skipped
 */
export async function recordProgress(db: Queryable, exportIds: readonly string[]): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>({
    name: 'record_written_progress',
    text: `with open as (
             select id from exports where id = any($1) and status in ('running', 'paused', 'pending')
           ), free as (
             select e.id from exports e join open on open.id = e.id for no key update of e skip locked
           ), recorded as (
             update exports e
             set rows_written = greatest(e.rows_written,
               (select coalesce(sum(c.rows_written), 0) from export_chunks c where c.export_id = e.id))
             from free where e.id = free.id
           )
           select id from open where id not in (select id from free)`,
    values: [exportIds],
  });
  return rows.map(({ id }) => id);
}
