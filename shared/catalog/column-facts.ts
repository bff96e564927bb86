import type { Queryable } from '../postgres/queryable.ts';

const READ_COLUMNS = `
with recursive wanted as (
  select w.resource, w."column", a.atttypid, a.atttypmod, a.attcollation
  from json_to_recordset($1::json) as w (resource text, "schema" text, "table" text, "column" text)
  join pg_catalog.pg_namespace n on n.nspname = w."schema"
  join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w."table"
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = w."column" and a.attnum > 0 and not a.attisdropped
), base as (
  select w.*, t.oid as type_oid, t.typtype, t.typbasetype
  from wanted w join pg_catalog.pg_type t on t.oid = w.atttypid
  union all
  select b.resource, b."column", b.atttypid, b.atttypmod, b.attcollation, t.oid, t.typtype, t.typbasetype
  from base b join pg_catalog.pg_type t on t.oid = b.typbasetype where b.typtype = 'd'
)
select coalesce(json_agg(json_build_object(
  'resource', b.resource,
  'column', b."column",
  'typeName', pg_catalog.format_type(b.atttypid, b.atttypmod),
  'schema', n.nspname,
  'name', t.typname,
  'kind', t.typtype::text,
  'canUse', pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
  'isDeterministic', coalesce(l.collisdeterministic, true)
)), '[]')::text as facts
from base b
join pg_catalog.pg_type t on t.oid = b.type_oid
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
left join pg_catalog.pg_collation l on l.oid = b.attcollation
where b.typtype <> 'd'`;

/** What decides how values of a column compare. */
export interface ColumnFacts {
  readonly resource: string;
  readonly column: string;
  /** As `format_type` shows it: `numeric(10,2)`. */
  readonly typeName: string;
  /** Of the type under all domains. */
  readonly schema: string;
  readonly name: string;
  /** `typtype`: b base type, e enum, … */
  readonly kind: string;
  /** Whether the role may use the type's schema, so that its operators are found. */
  readonly canUse: boolean;
  readonly isDeterministic: boolean;
}

/** A column of a resource's table. */
export interface WantedColumn {
  readonly resource: string;
  readonly schema: string;
  readonly table: string;
  readonly column: string;
}

/** Of the columns that exist, in any order. */
export async function readColumnFacts(
  db: Queryable,
  wanted: readonly WantedColumn[],
): Promise<readonly ColumnFacts[]> {
  const { rows } = await db.query<{ facts: string }>(READ_COLUMNS, [JSON.stringify(wanted)]);
  return JSON.parse(rows[0]?.facts ?? '[]') as ColumnFacts[];
}
