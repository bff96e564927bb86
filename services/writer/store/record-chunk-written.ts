import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { ChunkTry } from '../rows/chunk-try.ts';

export interface WrittenPart {
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  readonly schemaId: number;
}

/**
 * Notes a durable part, if its try is still the one that counts and no other writer was first. Noting the same part
 * again is harmless, so it may be tried again when the answer got lost.
 *
 * @returns whether it is noted; if not, nobody will ever read the part
 */
export async function recordChunkWritten(
  db: Queryable,
  { exportId, resource, chunk, attempt }: ChunkTry,
  part: WrittenPart,
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'record_chunk_written',
    text: `update export_chunks c
           set rows_written = $5, part_name = $6, bytes_written = $7, schema_id = $8
           from exports e
           where c.export_id = $1 and c.resource = $2 and c.chunk = $3 and c.attempt = $4
             and (c.rows_written is null or c.part_name = $6)
             and e.id = c.export_id and e.status = 'running'`,
    values: [exportId, resource, chunk, attempt, part.rows, part.path, part.bytes, part.schemaId],
  });
  return rowCount === 1;
}

/** Brings the export's progress up to its chunks. It never goes down, also when a new run starts its chunks afresh. */
export async function recordProgress(db: Queryable, exportId: string): Promise<void> {
  await db.query({
    name: 'record_written_progress',
    text: `update exports
           set rows_written = greatest(rows_written,
             (select coalesce(sum(rows_written), 0) from export_chunks where export_id = $1))
           where id = $1 and status = 'running'`,
    values: [exportId],
  });
}
