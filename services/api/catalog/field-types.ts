import type { ColumnDescription } from '../../../shared/catalog/describe-table.ts';
import type { ValueType } from '../../../shared/domain/row-type.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';

export const JSON_TYPES = ['integer', 'number', 'string', 'boolean', 'array', 'object', 'any'] as const;
export type JsonType = (typeof JSON_TYPES)[number];

export const FORMATS = ['date-time', 'local-date-time', 'date', 'time', 'decimal', 'uuid', 'base64'] as const;
export type Format = (typeof FORMATS)[number];

export const FILTER_OPERATORS = ['eq', 'ne', 'in', 'gt', 'gte', 'lt', 'lte', 'prefix', 'is_null'] as const;
export type FilterOperator = (typeof FILTER_OPERATORS)[number];

/** What PostgreSQL can do with values of a type. */
export interface TypeTraits {
  readonly hasEquality: boolean;
  readonly hasOrder: boolean;
  /** Labels of an enum, or of an array's elements; null for other types. */
  readonly labels: readonly string[] | null;
}

/**
 * The default operator classes of a type decide how it is compared. A type that is binary-compatible with another uses
 * that one's, and an array uses its elements'.
 */
const READ_TRAITS = `
select coalesce(json_agg(json_build_object('oid', t.oid::int8, 'hasEquality', has.btree or has.hash, 'hasOrder', has.btree,
  'labels', (select json_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = v.oid))), '[]')::text as traits
from pg_type t
join pg_type v on v.oid = case when t.typcategory = 'A' then t.typelem else t.oid end
cross join lateral (
  select coalesce(bool_or(m.amname = 'btree'), false) or v.typtype in ('e', 'r', 'm') as btree,
    coalesce(bool_or(m.amname = 'hash'), false) as hash
  from pg_opclass o join pg_am m on m.oid = o.opcmethod
  where o.opcdefault and (o.opcintype = v.oid or o.opcintype in (
    select c.casttarget from pg_cast c where c.castsource = v.oid and c.castmethod = 'b' and c.castcontext = 'i'))
) has
where t.oid = any($1::int8[]::oid[])`;

/** By the OID of the type; for a domain, of its base type. */
export async function readTypeTraits(
  db: Queryable,
  typeOids: readonly number[],
): Promise<ReadonlyMap<number, TypeTraits>> {
  const { rows } = await db.query<{ traits: string }>(READ_TRAITS, [[...new Set(typeOids)]]);
  const traits = JSON.parse(rows[0]?.traits ?? '[]') as (TypeTraits & { oid: number })[];
  return new Map(traits.map(({ oid, ...rest }) => [oid, rest]));
}

const FORMAT_BY_NAME: ReadonlyMap<string, Format> = new Map([
  ['timestamptz', 'date-time'],
  ['timestamp', 'local-date-time'],
  ['date', 'date'],
  ['time', 'time'],
  ['numeric', 'decimal'],
  ['money', 'decimal'],
  ['uuid', 'uuid'],
  ['bytea', 'base64'],
]);

const ANY_JSON: ReadonlySet<string> = new Set(['json', 'jsonb']);

/** The JSON form of a type's values. */
export function jsonTypeOf({ kind, pgName }: ValueType): { jsonType: JsonType; format: Format | null } {
  return { jsonType: jsonTypeOfKind(kind, pgName), format: FORMAT_BY_NAME.get(bareName(pgName)) ?? null };
}

function jsonTypeOfKind(kind: ValueType['kind'], pgName: string): JsonType {
  switch (kind) {
    case 'int':
    case 'long':
      return 'integer';
    case 'float':
    case 'double':
      return 'number';
    case 'boolean':
      return 'boolean';
    case 'bytes':
    case 'string':
      return 'string';
    case 'json':
      if (ANY_JSON.has(pgName)) return 'any';
      return pgName.endsWith('[]') ? 'array' : 'object';
  }
}

/** `numeric(10,2)` → `numeric`. */
export function bareName(pgName: string): string {
  return pgName.replace(/\(.*\)$/, '');
}

/** OIDs of text, varchar and bpchar. */
const TEXT_TYPES: ReadonlySet<number> = new Set([25, 1043, 1042]);

const JSON_OID = 114;

/** The filter conditions that a column supports. */
export function filterOperatorsOf(
  { baseTypeOid }: Pick<ColumnDescription, 'baseTypeOid'>,
  jsonType: JsonType,
  traits: TypeTraits | undefined,
): FilterOperator[] {
  // A composite is compared by its attributes, which may not be comparable.
  const isComparable = jsonType !== 'object' && baseTypeOid !== JSON_OID;
  const hasEquality = isComparable && traits?.hasEquality === true;
  const hasOrder = isComparable && traits?.hasOrder === true;
  return [
    ...(hasEquality ? (['eq', 'ne'] as const) : []),
    ...(hasEquality && jsonType !== 'array' ? (['in'] as const) : []),
    ...(hasOrder ? (['gt', 'gte', 'lt', 'lte'] as const) : []),
    ...(TEXT_TYPES.has(baseTypeOid) ? (['prefix'] as const) : []),
    'is_null',
  ];
}

/** OIDs of varchar and bpchar, and what PostgreSQL adds to their declared length. */
const LIMITED_TEXTS: ReadonlySet<number> = new Set([1042, 1043]);
const LIMIT_OFFSET = 4;

/** Characters that a text column holds at most; null: any number. */
export function maxLengthOf({ typeOid, typeModifier }: ColumnDescription): number | null {
  return LIMITED_TEXTS.has(typeOid) && typeModifier > LIMIT_OFFSET ? typeModifier - LIMIT_OFFSET : null;
}
