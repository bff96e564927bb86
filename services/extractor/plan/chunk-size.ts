import type { TableName } from '../../../shared/domain/catalog.ts';
import { quoteTable } from '../../../shared/postgres/quote.ts';
import type { SourceSession } from '../source/source-session.ts';

/** Size and row count of a table with its partitions and TOAST, as of its last ANALYZE. */
export interface TableSize {
  readonly bytes: number;
  /** Negative when the table was never analyzed. */
  readonly rowCount: number;
}

/** Below this, opening a session for a chunk would count. Of a table that is mostly air, each row only seems wide. */
const MIN_ROWS = 1_000;
/** Of rows so wide that a thousand of them would be far more than a chunk. */
const MIN_WIDE_ROWS = 100;
const MAX_BYTES_OF_MIN_ROWS = 50_000_000;
const MAX_ROWS = 50_000;

/** Of a table that was never analyzed; a guess on the high side, which makes chunks smaller. */
const UNKNOWN_ROW_BYTES = 500;

/**
 * Rows in a chunk of about `chunkBytes`: small enough that little is read twice when a reader dies and that several
 * extractors share a table, large enough that opening a session for it does not count.
 */
export function rowsPerChunk({ bytes, rowCount }: TableSize, chunkBytes: number): number {
  const rowBytes = rowCount > 0 && bytes > 0 ? bytes / rowCount : UNKNOWN_ROW_BYTES;
  const minRows = Math.min(MIN_ROWS, Math.max(MIN_WIDE_ROWS, Math.round(MAX_BYTES_OF_MIN_ROWS / rowBytes)));
  return Math.min(MAX_ROWS, Math.max(minRows, Math.round(chunkBytes / rowBytes)));
}

/** The sizes of several tables in one statement, in their order. */
export async function readTableSizes(
  session: SourceSession,
  tables: readonly TableName[],
): Promise<readonly TableSize[]> {
  const { rows } = await session.query(
    `select coalesce(sum(pg_table_size(c.oid)), 0)::text as bytes, coalesce(sum(c.reltuples)::bigint, -1)::text as row_count
     from unnest($1::regclass[]) with ordinality as w(oid, place)
     left join lateral (
       select w.oid as relid union select p.relid from pg_partition_tree(w.oid) p
     ) part on true
     left join pg_class c on c.oid = part.relid and c.relkind = 'r'
     group by w.place order by w.place`,
    [tables.map(quoteTable)],
  );
  return rows.map(({ bytes, row_count: rowCount }) => ({ bytes: Number(bytes), rowCount: Number(rowCount) }));
}
