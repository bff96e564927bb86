import type { Queryable } from '../../postgres/queryable.ts';

// Attempts at chunks, as the writer finds and records them.

/** One try at one chunk: what a row's headers name, and what the control store fences writes by. */
export interface ChunkAttempt {
  readonly exportId: string;
  readonly resource: string;
  readonly chunk: number;
  readonly attempt: number;
}

export function chunkAttemptKey({ exportId, resource, chunk, attempt }: ChunkAttempt): string {
  return `${exportId}/${resource}/${chunk}/${attempt}`;
}

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

/** Tries whose rows are written: of a running export, and what another one had read before it was paused. */
const COUNTS = `(e.status = 'running' or e.status in ('paused', 'pending') and c.state = 'extracted')`;

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
           left join exports e on e.id = c.export_id and ${COUNTS}
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

export interface WrittenPart {
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  readonly schemaId: number;
}

/** A chunk's rows are locked in the order in which extractors lock them too, so that the two can't wait for each other. */
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
 * Notes durable parts, each if its try is still the one that counts and no other writer was first. Noting the same part
 * again is harmless, so it may be tried again when the answer got lost.
 *
 * @returns for each, whether it is noted; if not, nobody will ever read the part
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

/** Brings the progress of exports up to their chunks. It never goes down, also when a new run starts its chunks afresh. */
export async function recordProgress(db: Queryable, exportIds: readonly string[]): Promise<void> {
  await db.query({
    name: 'record_written_progress',
    text: `update exports e
           set rows_written = greatest(e.rows_written,
             (select coalesce(sum(c.rows_written), 0) from export_chunks c where c.export_id = e.id))
           where e.id = any($1) and e.status in ('running', 'paused', 'pending')`,
    values: [exportIds],
  });
}
