import type { Queryable } from '../postgres/queryable.ts';
import { createTypes, type TypeRow, type Types } from './types-of-database.ts';

/**
 * One statement, so one state of the catalog. A table's row type is loaded only where some column has it: a database
 * of many tables has many columns, and hardly ever one of those. It comes as one JSON text, which reads the same
 * whatever parsers the session has.
 */
const TYPES_SQL = `
with used as (
  select atttypid as oid from pg_catalog.pg_attribute where attnum > 0 and not attisdropped
  union
  select typbasetype from pg_catalog.pg_type where typbasetype <> 0
), composite as (
  select t.oid, t.typrelid, t.typarray
  from pg_catalog.pg_type t join pg_catalog.pg_class c on c.oid = t.typrelid
  where t.typtype = 'c'
    and (c.relkind = 'c' or t.oid in (select oid from used) or t.typarray in (select oid from used))
), loaded as (
  select oid from pg_catalog.pg_type
  where typtype <> 'c' and typrelid = 0
    and not (typelem <> 0 and typelem in (select oid from pg_catalog.pg_type where typtype = 'c'))
  union select oid from composite
  union select typarray from composite
)
select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
  'oid', t.oid::int8,
  'schema', n.nspname,
  'name', t.typname,
  'extension', x.extname,
  'baseOid', nullif(t.typbasetype::int8, 0),
  'baseTypmod', t.typtypmod,
  'elementOid', e.oid::int8,
  'delimiter', e.typdelim,
  'attributes', case when c.oid is not null then coalesce((
      select pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname, 'oid', a.atttypid::int8)
        order by a.attnum)
      from pg_catalog.pg_attribute a
      where a.attrelid = c.typrelid and a.attnum > 0 and not a.attisdropped
    ), '[]'::json) end
)), '[]'::json)::text as types
from pg_catalog.pg_type t
join loaded l on l.oid = t.oid
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
-- Vectors such as int2vector have elements but are not arrays; only an array is its element's array type.
left join pg_catalog.pg_type e on e.oid = t.typelem and e.typarray = t.oid
left join composite c on c.oid = t.oid
left join pg_catalog.pg_depend d
  on d.classid = 'pg_catalog.pg_type'::regclass and d.objid = t.oid and d.deptype = 'e'
left join pg_catalog.pg_extension x
  on d.refclassid = 'pg_catalog.pg_extension'::regclass and x.oid = d.refobjid`;

/**
 * Reads the types of a database once. Types made later are unknown to the result: on `UnknownTypeError`, and after
 * any change of a table's columns, load again.
 */
export async function loadTypes(db: Queryable): Promise<Types> {
  const { rows } = await db.query<{ types: string }>(TYPES_SQL);
  const rowsOfTypes: TypeRow[] = JSON.parse(rows[0]?.types ?? '[]');
  return createTypes(rowsOfTypes);
}
