import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** States of a chunk as customers see them. The last one has no state of its own in the table: it is set by the writer. */
export const CHUNK_STATES = ['planned', 'reading', 'extracted', 'written'] as const;
export type ChunkState = (typeof CHUNK_STATES)[number];

/** 64-bit numbers are texts. */
export interface ChunkRow {
  resource: string;
  chunk: number;
  state: ChunkState;
  rows_planned: string;
  rows_extracted: string;
  rows_written: string | null;
  tries: number;
  started_at: Date | null;
  extracted_at: Date | null;
  written_at: Date | null;
}

/** The last chunk of a page. */
export interface ChunkPlace {
  readonly resource: string;
  readonly chunk: number;
}

export interface ChunkFilter {
  readonly resource: string | undefined;
  readonly state: ChunkState | undefined;
}

const STATE = `case when c.rows_written is not null then 'written' else c.state end`;

/** Chunks of the export's current run, in the order of the primary key. */
export async function listChunks(
  db: Queryable,
  exportId: string,
  { resource, state }: ChunkFilter,
  after: ChunkPlace | undefined,
  limit: number,
): Promise<ChunkRow[]> {
  const { rows } = await db.query<ChunkRow>({
    name: 'list_chunks',
    text: `select c.resource, c.chunk, ${STATE} as state, c.rows_planned, c.rows_extracted, c.rows_written, c.tries,
             c.started_at, c.extracted_at, c.written_at
           from export_chunks c
           where c.export_id = $1 and ($2::text is null or c.resource = $2) and ($3::text is null or ${STATE} = $3)
             and ($4::text is null or (c.resource, c.chunk) > ($4::text, $5::integer))
           order by c.resource, c.chunk limit $6`,
    values: [exportId, resource ?? null, state ?? null, after?.resource ?? null, after?.chunk ?? null, limit],
  });
  return rows;
}

/** How many chunks of the export are in each state. */
export async function countChunks(
  db: Queryable,
  exportId: string,
): Promise<Readonly<Record<ChunkState, number>>> {
  const { rows } = await db.query<{ state: ChunkState; count: number }>({
    name: 'count_chunks',
    text: `select ${STATE} as state, count(*)::int as count from export_chunks c where c.export_id = $1 group by 1`,
    values: [exportId],
  });
  return {
    ...{ planned: 0, reading: 0, extracted: 0, written: 0 },
    ...Object.fromEntries(rows.map(({ state, count }) => [state, count])),
  };
}
