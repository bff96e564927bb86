import type { Resource, TableName } from '../../../shared/domain/catalog.ts';
import type { SourceSession } from '../source/source-session.ts';

/** A foreign key between two exported tables. */
export interface Reference {
  readonly from: Resource;
  readonly to: Resource;
  readonly columns: readonly { readonly from: string; readonly to: string }[];
}

/** Reads the foreign keys of a partitioned table's root only: its partitions repeat them. */
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
 * The foreign keys between tables. The holder and all readers read them under the export's snapshot, so all select the same
 * rows.
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
  /** Foreign keys of a table, and foreign keys to it. Empty for a table of which all rows are exported. */
  from(resource: Resource): readonly Reference[];
  to(resource: Resource): readonly Reference[];
  /** Whether all rows are exported, because a query that selects only the referenced ones would be too large. */
  isWhole(resource: Resource): boolean;
}

/** Maximum of nested queries for one table. Planning time grows with their number. */
const MAX_NESTED = 100;

export function referenceGraph(references: readonly Reference[]): ReferenceGraph {
  const from = (name: string) => references.filter((reference) => reference.from.name === name);
  const to = (name: string) => references.filter((reference) => reference.to.name === name);

  const isInCircle = (name: string): boolean => {
    const reached = new Set(from(name).map((reference) => reference.to.name));
    // A loop over a set also visits elements that the loop adds.
    for (const each of reached) for (const reference of from(each)) reached.add(reference.to.name);
    return reached.has(name);
  };

  const sizes = new Map<string, number>();
  /** Number of nested queries that find the rows which refer to a table. Infinite if all of its rows are exported. */
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
