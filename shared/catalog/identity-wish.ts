import type { Resource } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { findTable, type TableDescription } from './describe-table.ts';
import { showTable } from './parse-table-name.ts';
import type { IdentityWish, ResourceWish } from './replica-identity.ts';

/**
 * Up to about this width PostgreSQL writes the whole new row at each update, so that the old one beside it doubles the WAL at
 * most. Values of wider rows are stored apart (TOAST), and only FULL writes them again at an update that leaves them alone.
 */
const WIDE_ROW_BYTES = 2_048;

/** As much of a table's last page as may be empty; a table of one page is narrow whatever is in it. */
const PAGE_BYTES = 8_192;

interface Measure {
  readonly schema: string;
  readonly name: string;
  readonly bytes: number;
  /** Stored apart. */
  readonly toastBytes: number;
  /** From the density at the last ANALYZE, as the planner has it; 0 when it is not known. */
  readonly rows: number;
}

const MEASURE = `
SELECT coalesce(json_agg(json_build_object(
  'schema', wanted."schema", 'name', wanted."name", 'bytes', size.bytes, 'toastBytes', size.toast_bytes, 'rows', size.rows
)), '[]')::text AS measures
FROM json_to_recordset($1::json) AS wanted("schema" text, "name" text)
JOIN pg_namespace n ON n.nspname = wanted."schema"
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted."name"
CROSS JOIN LATERAL (
  SELECT coalesce(sum(greatest(pg_relation_size(r.oid) - ${PAGE_BYTES}, 0)), 0) AS bytes,
    coalesce(sum(pg_relation_size(nullif(r.reltoastrelid, 0))), 0) AS toast_bytes,
    coalesce(sum(CASE WHEN r.reltuples > 0 AND r.relpages > 0
      THEN r.reltuples::float8 * pg_relation_size(r.oid) / ${PAGE_BYTES} / r.relpages END), 0) AS rows
  FROM pg_class r
  WHERE r.relkind = 'r' AND (r.oid = c.oid OR c.relkind = 'p' AND r.oid IN (SELECT relid FROM pg_partition_tree(c.oid)))
) size`;

/**
 * What each resource's replica identity is to be where it has to change. The catalog's `as_of` comes first, then what was asked
 * for, then the width of the rows.
 */
export async function resolveWishes(
  db: Queryable,
  resources: readonly Resource[],
  tables: readonly TableDescription[],
  asked: IdentityWish,
): Promise<ReadonlyMap<string, ResourceWish>> {
  const open = asked === 'auto' ? resources.filter(({ asOf }) => asOf === undefined) : [];
  const wide = await findWide(
    db,
    open.flatMap(({ table }) => findTable(tables, table) ?? []),
  );
  return new Map(
    resources.map((resource) => {
      const { name, table, asOf } = resource;
      if (asOf === true) return [name, 'full'];
      if (asOf === false) return [name, asked === 'index' ? 'index' : 'rather_index'];
      if (asked !== 'auto') return [name, asked];
      return [name, wide.has(showTable(table)) ? 'rather_index' : 'rather_full'];
    }),
  );
}

async function findWide(db: Queryable, tables: readonly TableDescription[]): Promise<ReadonlySet<string>> {
  if (tables.length === 0) return new Set();
  const wanted = JSON.stringify(tables.map(({ schema, name }) => ({ schema, name })));
  const { rows } = await db.query<{ measures: string }>(MEASURE, [wanted]);
  const measures = JSON.parse(rows[0]?.measures ?? '[]') as Measure[];
  return new Set(measures.filter(isWide).map(showTable));
}

function isWide({ bytes, toastBytes, rows }: Measure): boolean {
  return rows > 0 ? (bytes + toastBytes) / rows > WIDE_ROW_BYTES : toastBytes > 0;
}
