import type { Queryable } from '../../postgres/queryable.ts';
import type { ChunkAttempt } from './chunk-attempt.ts';

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
  join exports e on e.id = c.export_id and e.status = 'running'
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
           where e.id = any($1) and e.status = 'running'`,
    values: [exportIds],
  });
}
