import type { Queryable } from '../../postgres/queryable.ts';

/** What the chunks of one resource say of themselves, and where their rows are. */
export interface ResourceParts {
  readonly resource: string;
  readonly rowsPlanned: number;
  readonly rowsExtracted: number;
  readonly rowsWritten: number;
  /** In order of chunk, and so of key. */
  readonly parts: readonly { readonly path: string; readonly rows: number; readonly bytes: number }[];
  /** The schemas that the rows were encoded with; one, unless the table changed. */
  readonly schemaIds: readonly number[];
}

interface ChunkRow {
  resource: string;
  part_name: string;
  rows_planned: string;
  rows_extracted: string;
  rows_written: string;
  bytes_written: string;
  schema_id: number | null;
}

/** The chunks of an export whose chunks are all written, by resource. A resource without rows has no entry. */
export async function listParts(db: Queryable, exportId: string): Promise<Map<string, ResourceParts>> {
  const { rows } = await db.query<ChunkRow>(
    `select resource, part_name, rows_planned, rows_extracted, rows_written, bytes_written, schema_id
     from export_chunks where export_id = $1 order by resource, chunk`,
    [exportId],
  );
  const byResource = Map.groupBy(rows, ({ resource }) => resource);
  return new Map([...byResource].map(([resource, chunks]) => [resource, toResourceParts(resource, chunks)]));
}

function toResourceParts(resource: string, chunks: readonly ChunkRow[]): ResourceParts {
  const sum = (column: 'rows_planned' | 'rows_extracted' | 'rows_written') =>
    chunks.reduce((total, chunk) => total + Number(chunk[column]), 0);
  const schemaIds = new Set(chunks.map(({ schema_id: id }) => id).filter((id) => id !== null));
  return {
    resource,
    rowsPlanned: sum('rows_planned'),
    rowsExtracted: sum('rows_extracted'),
    rowsWritten: sum('rows_written'),
    parts: chunks.map((chunk) => ({
      path: chunk.part_name,
      rows: Number(chunk.rows_written),
      bytes: Number(chunk.bytes_written),
    })),
    schemaIds: [...schemaIds],
  };
}
