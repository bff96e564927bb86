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

export type ChunkCounts = Readonly<Record<ChunkState, number>>;

/** The chunks of one resource. */
export interface ResourceChunks {
  readonly resource: string;
  readonly counts: ChunkCounts;
  readonly rows: { readonly planned: number; readonly extracted: number; readonly written: number };
}

/** How many chunks of the export are in each state, by resource in the order of names. */
export async function countChunks(db: Queryable, exportId: string): Promise<ResourceChunks[]> {
  const { rows } = await db.query<
    ChunkCounts & { resource: string; rows_planned: number; rows_extracted: number; rows_written: number }
  >({
    name: 'count_chunks_by_resource',
    text: `select c.resource, ${CHUNK_STATES.map((state) => `(count(*) filter (where ${STATE} = '${state}'))::int as ${state}`).join(', ')},
             sum(c.rows_planned)::float8 as rows_planned, sum(c.rows_extracted)::float8 as rows_extracted,
             coalesce(sum(c.rows_written), 0)::float8 as rows_written
           from export_chunks c where c.export_id = $1 group by c.resource order by c.resource`,
    values: [exportId],
  });
  return rows.map(
    ({ resource, planned, reading, extracted, written, rows_planned, rows_extracted, rows_written }) => ({
      resource,
      counts: { planned, reading, extracted, written },
      rows: { planned: rows_planned, extracted: rows_extracted, written: rows_written },
    }),
  );
}
