import type { Resource, TableName } from '../../../shared/domain/catalog.ts';
import type { SourceSession } from '../source/source-session.ts';

/** A foreign key between two exported tables. */
export interface Reference {
  readonly from: Resource;
  readonly to: Resource;
  readonly columns: readonly { readonly from: string; readonly to: string }[];
}

/** Of a partitioned table's keys those of the whole are looked at, which its partitions only repeat. */
const READ_REFERENCES = `
with wanted as (
  select c.oid, w.schema, w.name
  from json_to_recordset($1::json) as w(schema text, name text)
  join pg_namespace n on n.nspname = w.schema
  join pg_class c on c.relnamespace = n.oid and c.relname = w.name
)
select coalesce(json_agg(json_build_object(
  'from', json_build_object('schema', f.schema, 'name', f.name),
  'to', json_build_object('schema', t.schema, 'name', t.name),
  'columns', (
    select json_agg(json_build_object('from', fa.attname, 'to', ta.attname) order by k.place)
    from unnest(c.conkey, c.confkey) with ordinality as k(from_number, to_number, place)
    join pg_attribute fa on fa.attrelid = c.conrelid and fa.attnum = k.from_number
    join pg_attribute ta on ta.attrelid = c.confrelid and ta.attnum = k.to_number
  )) order by c.oid), '[]')::text as facts
from pg_constraint c
join wanted f on f.oid = c.conrelid
join wanted t on t.oid = c.confrelid
where c.contype = 'f' and c.conparentid = 0`;

interface FoundKey {
  from: TableName;
  to: TableName;
  columns: { from: string; to: string }[];
}

/**
 * The foreign keys between tables. Read under the export's snapshot they are the same for its holder and for every reader,
 * so that all of them select the same rows.
 */
export async function readReferences(
  session: Pick<SourceSession, 'query'>,
  resources: readonly Resource[],
): Promise<Reference[]> {
  const tables = JSON.stringify(resources.map(({ table: { schema, name } }) => ({ schema, name })));
  const { rows } = await session.query(READ_REFERENCES, [tables]);
  const found = JSON.parse(rows[0]?.facts ?? '[]') as FoundKey[];
  const resourceOf = ({ schema, name }: TableName) =>
    resources.find(({ table }) => table.schema === schema && table.name === name);
  return found.flatMap(({ from, to, columns }) => {
    const [child, parent] = [resourceOf(from), resourceOf(to)];
    return child === undefined || parent === undefined ? [] : [{ from: child, to: parent, columns }];
  });
}

/** Which exported tables refer to which. */
export interface ReferenceGraph {
  /** The foreign keys of a table, and those that lead to it. Empty for a table that is taken whole. */
  from(resource: Resource): readonly Reference[];
  to(resource: Resource): readonly Reference[];
  /** Whether all rows are taken, since which of them are referred to can't be told by a query of a sensible size. */
  isWhole(resource: Resource): boolean;
}

/** Nested queries for one table; the planner's work grows with them. */
const MAX_NESTED = 100;

export function referenceGraph(references: readonly Reference[]): ReferenceGraph {
  const from = (name: string) => references.filter((reference) => reference.from.name === name);
  const to = (name: string) => references.filter((reference) => reference.to.name === name);

  const isInCircle = (name: string): boolean => {
    const reached = new Set(from(name).map((reference) => reference.to.name));
    // A set that grows while it is walked is walked to its end.
    for (const each of reached) for (const reference of from(each)) reached.add(reference.to.name);
    return reached.has(name);
  };

  const sizes = new Map<string, number>();
  /** Nested queries that ask for the rows which refer to a table; infinite for one that is taken whole. */
  const sizeOf = (name: string): number => {
    const known = sizes.get(name);
    if (known !== undefined) return known;
    let size = Infinity;
    if (!isInCircle(name)) {
      size = to(name).reduce((sum, { from: { name: child } }) => {
        const nested = sizeOf(child);
        return sum + 1 + (nested === Infinity ? 0 : nested);
      }, 0);
    }
    if (size > MAX_NESTED) size = Infinity;
    sizes.set(name, size);
    return size;
  };

  const isWhole = ({ name }: Resource) => sizeOf(name) === Infinity;
  return {
    isWhole,
    from: (resource) => (isWhole(resource) ? [] : from(resource.name)),
    to: (resource) => (isWhole(resource) ? [] : to(resource.name)),
  };
}
