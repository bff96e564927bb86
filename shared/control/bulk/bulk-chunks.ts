import type { ListedItem } from '../../domain/bulk.ts';
import type { Queryable } from '../../postgres/queryable.ts';

/** Items of a chunk of HTTP requests. After a crash of its worker they are requested again. */
const HTTP_CHUNK_ITEMS = 50;

/** Smaller chunks would cost more than their work, in a job of millions. */
const LEAST_CHUNK_ITEMS = 20;

/**
 * Items per chunk of a job. Failures are counted when a chunk is done, so a chunk of a job with `max_failures` has at
 * most that many items, but at least 20. Once the limit is reached, no chunk is claimed any more. Chunks already
 * claimed still finish: at most one per worker.
 *
 * @param most limit of a chunk whose rows are changed by a statement
 */
export function chunkItemsOf(
  { isHttp, maxFailures }: { isHttp: boolean; maxFailures: number | null },
  most: number,
): number {
  const usual = isHttp ? HTTP_CHUNK_ITEMS : most;
  return maxFailures === null ? usual : Math.min(usual, Math.max(maxFailures, LEAST_CHUNK_ITEMS));
}

export interface NewChunk {
  readonly chunk: number;
  readonly firstSeq: number;
  readonly items: readonly ListedItem[];
}

/** Cuts a list of items, which continues from `first`, into chunks. */
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

/** The inserting statement checks `fence` itself: once another worker has started the list again, it adds no chunk. */
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
