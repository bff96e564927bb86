import type { ValueType } from '../domain/row-type.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { jsonString, pgToJson } from './json-text.ts';
import { arrayToJson, hstoreToJson, parseRecordText } from './nested-text.ts';
import { scalarType } from './scalar-types.ts';

/** The types of one database at one time. */
export interface Types {
  /**
   * The value type of a column of that type: a domain as its base, however deep. `typmod` is the column's
   * `atttypmod`, which both the catalog and pgoutput's Relation message give.
   *
   * @throws UnknownTypeError when the type was made after these were loaded
   */
  valueType(oid: number, typmod?: number): ValueType;
}

/** A type made after the types were loaded: load them again. */
export class UnknownTypeError extends Error {
  override readonly name = 'UnknownTypeError';
  readonly oid: number;

  constructor(oid: number) {
    super(`type with OID ${oid} is not among the types loaded`);
    this.oid = oid;
  }
}

/** One row of `pg_type`, with what is needed from the tables around it. */
export interface TypeRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** The extension it belongs to, if any: an extension's types have no fixed OID and may live in any schema. */
  readonly extension: string | null;
  /** What a domain is made from. */
  readonly baseOid: number | null;
  readonly baseTypmod: number;
  /** An array's element type, and what stands between two elements. */
  readonly elementOid: number | null;
  readonly delimiter: string | null;
  /** A composite's attributes in order. */
  readonly attributes: readonly { readonly name: string; readonly oid: number }[] | null;
}

const NO_TYPMOD = -1;

export function createTypes(rows: readonly TypeRow[]): Types {
  const rowsByOid = new Map(rows.map((row) => [row.oid, row]));

  /** Ends, since PostgreSQL refuses a composite that contains itself. */
  function valueType(oid: number, typmod: number = NO_TYPMOD): ValueType {
    const row = rowsByOid.get(oid);
    if (row === undefined) throw new UnknownTypeError(oid);
    if (row.baseOid !== null) return valueType(row.baseOid, row.baseTypmod);
    if (row.elementOid !== null) return arrayType(valueType(row.elementOid, typmod), row.delimiter ?? ',');
    if (row.attributes !== null) return compositeType(row, row.attributes);
    if (row.schema === 'pg_catalog') return scalarType(row.name, typmod);
    if (row.name === 'hstore' && row.extension === 'hstore') {
      return { kind: 'json', pgName: nameOf(row), toWire: hstoreToJson };
    }
    return { kind: 'string', pgName: nameOf(row) };
  }

  function compositeType(row: TypeRow, attributes: NonNullable<TypeRow['attributes']>): ValueType {
    const members = attributes.map(({ name, oid }) => ({
      prefix: `${jsonString(name)}:`,
      type: valueType(oid),
    }));
    const toWire = (pgText: string): string => {
      const texts = parseRecordText(pgText, members.length);
      const json = members.map(({ prefix, type }, index) => {
        const text = texts[index] ?? null;
        return prefix + (text === null ? 'null' : pgToJson(type, text));
      });
      return `{${json.join(',')}}`;
    };
    return { kind: 'json', pgName: nameOf(row), toWire };
  }

  return { valueType };
}

function arrayType(element: ValueType, delimiter: string): ValueType {
  const elementToJson = (pgText: string): string => pgToJson(element, pgText);
  return {
    kind: 'json',
    pgName: `${element.pgName}[]`,
    toWire: (pgText) => arrayToJson(pgText, delimiter, elementToJson),
  };
}

function nameOf(row: TypeRow): string {
  return `${row.schema}.${row.name}`;
}

/** Of all types, `loaded (oid)`, as JSON: one text, which reads the same whatever parsers the session has. */
const TYPES_AS_JSON = `
select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
  'oid', t.oid::int8,
  'schema', n.nspname,
  'name', t.typname,
  'extension', x.extname,
  'baseOid', nullif(t.typbasetype::int8, 0),
  'baseTypmod', t.typtypmod,
  'elementOid', e.oid::int8,
  'delimiter', e.typdelim,
  'attributes', case when t.typtype = 'c' then coalesce((
      select pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname, 'oid', a.atttypid::int8)
        order by a.attnum)
      from pg_catalog.pg_attribute a
      where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    ), '[]'::json) end
)), '[]'::json)::text as types
from loaded l
join pg_catalog.pg_type t on t.oid = l.oid
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
-- Vectors such as int2vector have elements but are not arrays; only an array is its element's array type.
left join pg_catalog.pg_type e on e.oid = t.typelem and e.typarray = t.oid
left join pg_catalog.pg_depend d
  on d.classid = 'pg_catalog.pg_type'::regclass and d.objid = t.oid and d.deptype = 'e'
left join pg_catalog.pg_extension x
  on d.refclassid = 'pg_catalog.pg_extension'::regclass and x.oid = d.refobjid`;

/**
 * One statement, so one state of the catalog. A table's row type is loaded only where some column has it: a database
 * of many tables has many columns, and hardly ever one of those.
 */
const ALL_TYPES = `
with used as (
  select atttypid as oid from pg_catalog.pg_attribute where attnum > 0 and not attisdropped
  union
  select typbasetype from pg_catalog.pg_type where typbasetype <> 0
), composite as (
  select t.oid, t.typarray
  from pg_catalog.pg_type t join pg_catalog.pg_class c on c.oid = t.typrelid
  where t.typtype = 'c'
    and (c.relkind = 'c' or t.oid in (select oid from used) or t.typarray in (select oid from used))
), loaded as (
  select oid from pg_catalog.pg_type
  where typtype <> 'c' and typrelid = 0
    and not (typelem <> 0 and typelem in (select oid from pg_catalog.pg_type where typtype = 'c'))
  union select oid from composite
  union select typarray from composite
)${TYPES_AS_JSON}`;

/** These types, and what they are made of. Reads no more in a database of many tables than in a small one. */
const SOME_TYPES = `
with recursive loaded as (
  select oid::oid from pg_catalog.json_array_elements_text($1::json) as wanted (oid)
  union
  select part.oid
  from loaded l join pg_catalog.pg_type t on t.oid = l.oid cross join lateral (
    select t.typbasetype as oid where t.typbasetype <> 0
    union all select t.typelem where t.typelem <> 0
    union all select a.atttypid from pg_catalog.pg_attribute a
      where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
  ) part
)${TYPES_AS_JSON}`;

/**
 * Reads the types of a database once. Types made later are unknown to the result: on `UnknownTypeError`, and after
 * any change of a table's columns, load again.
 *
 * @param oids only these types, with what they are made of; without it all
 */
export async function loadTypes(db: Queryable, oids?: readonly number[]): Promise<Types> {
  const { rows } =
    oids === undefined
      ? await db.query<{ types: string }>(ALL_TYPES)
      : await db.query<{ types: string }>({
          name: 'load_types',
          text: SOME_TYPES,
          values: [JSON.stringify(oids)],
        });
  const rowsOfTypes: TypeRow[] = JSON.parse(rows[0]?.types ?? '[]');
  return createTypes(rowsOfTypes);
}
