import type { ListedItem } from '../domain/bulk.ts';
import type { Queryable } from '../postgres/queryable.ts';

/** Items of a chunk of HTTP requests: what one worker has in hand, and what a crash makes it ask again. */
export const HTTP_CHUNK_ITEMS = 50;

export interface NewChunk {
  readonly chunk: number;
  readonly firstSeq: number;
  readonly items: readonly ListedItem[];
}

/** Cuts a list of items, which goes on from `first`, into chunks. */
export function cutChunks(
  items: readonly ListedItem[],
  chunkItems: number,
  first: { chunk: number; seq: number },
): NewChunk[] {
  const chunks: NewChunk[] = [];
  for (let start = 0; start < items.length; start += chunkItems) {
    chunks.push({
      chunk: first.chunk + chunks.length,
      firstSeq: first.seq + start,
      items: items.slice(start, start + chunkItems),
    });
  }
  return chunks;
}

/** `fence` holds for the inserting statement's own moment: a list that was begun anew by another takes no more chunks. */
export async function insertChunks(
  db: Queryable,
  jobId: string,
  chunks: readonly NewChunk[],
  fence?: { owner: string; listCount: number },
): Promise<boolean> {
  if (chunks.length === 0) return true;
  const { rowCount } = await db.query(
    `insert into bulk_chunks (job_id, chunk, first_seq, item_count, items, state)
     select $1, t.*, 'waiting' from unnest($2::int[], $3::int[], $4::int[], $5::text[]) as t
     where $6::text is null or exists (
       select from bulk_jobs where id = $1 and lease_owner = $6 and list_count = $7 for share)`,
    [
      jobId,
      chunks.map(({ chunk }) => chunk),
      chunks.map(({ firstSeq }) => firstSeq),
      chunks.map(({ items }) => items.length),
      chunks.map(({ items }) => JSON.stringify(items)),
      fence?.owner ?? null,
      fence?.listCount ?? null,
    ],
  );
  return (rowCount ?? 0) > 0;
}
