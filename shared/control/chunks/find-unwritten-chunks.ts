import type { Queryable } from '../../postgres/queryable.ts';
import type { ChunkAttempt } from './chunk-attempt.ts';

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
