import { createHash } from 'node:crypto';
import { ancestorsOf, type Catalog, ownerColumns, type Resource } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { childrenOf } from './check-account-paths.ts';
import { showTable } from './parse-table-name.ts';
import { readTableFacts, type TableFacts } from './table-facts.ts';

/** The tables on the paths of a catalog as they are now. */
export interface PathState {
  /** The resources whose records cannot be assigned to an account, by name, each with the reason. */
  readonly broken: ReadonlyMap<string, string>;
  /** Those of `broken` whose paths can be followed until an old row of a parent comes that does not say whose it was. */
  readonly unsaid: ReadonlySet<string>;
  /** Another text once a column of a path was made again: rows that are there may have another value in it then. */
  readonly columns: string;
}

/**
 * A path is broken if a table on it is gone, has lost a column of the path, can't be read, or is not in the publication, so that its
 * changes are not streamed; and if the old rows of a parent do not say whose they were.
 */
export async function readPathState(
  db: Queryable,
  catalog: Catalog,
  publicationName: string,
): Promise<PathState> {
  const children = childrenOf(catalog);
  const onPaths = children.flatMap((child) => [child as Resource, ...ancestorsOf(child)]);
  const unique = [...new Map(onPaths.map((each) => [each.name, each])).values()];
  const facts = unique.length === 0 ? new Map() : await readTableFacts(db, unique, publicationName);
  const faults = new Map(unique.flatMap((each) => faultOf(each, facts.get(each.name))));
  const broken = new Map<string, string>();
  const unsaid = new Set<string>();
  for (const child of children) {
    const ancestors = ancestorsOf(child);
    const fault = [child as Resource, ...ancestors].map(({ name }) => faults.get(name)).find(Boolean);
    const silent = ancestors.find((each) => !doesSayOwners(each, facts.get(each.name)));
    if (fault === undefined && silent === undefined) continue;
    if (fault === undefined) unsaid.add(child.name);
    const silence = `the replica identity of ${silent && showTable(silent.table)} does not say whose its old rows were: run \`tandem source prepare\``;
    broken.set(child.name, `its records have their account by a path on which ${fault ?? silence}`);
  }
  const places = unique.map((each) => [each.name, ...placesOf(each, facts.get(each.name))]);
  return {
    broken,
    unsaid,
    columns: createHash('sha256').update(JSON.stringify(places)).digest('base64url').slice(0, 16),
  };
}

function placesOf(resource: Resource, facts: TableFacts | undefined): (number | null)[] {
  return [...resource.key, ...ownerColumns(resource)].map(
    (name) => facts?.columns.find((column) => column.name === name)?.place ?? null,
  );
}

/** Whether every old row carries key and owner. A partition has a replica identity of its own, and the stream shows its root's beside it. */
function doesSayOwners(resource: Resource, facts: TableFacts | undefined): boolean {
  const needed = [...resource.key, ...ownerColumns(resource)];
  return [facts, ...(facts?.files.filter(({ kind }) => kind === 'r') ?? [])].every((each) =>
    needed.every((name) => each?.identityColumns.includes(name) === true),
  );
}

function faultOf(resource: Resource, facts: TableFacts | undefined): [string, string][] {
  const table = showTable(resource.table);
  if (facts === undefined) return [[resource.name, `the table ${table} does not exist`]];
  const lost = [...resource.key, ...ownerColumns(resource)].find(
    (name) => !facts.columns.some((column) => column.name === name),
  );
  if (lost !== undefined) return [[resource.name, `${table} has no column ${lost}`]];
  if (!facts.isReadable)
    return [
      [
        resource.name,
        `${table} can't be read by this role: grant it SELECT, and let row security hide nothing from it`,
      ],
    ];
  return facts.publication === null
    ? [[resource.name, `${table} is not in the publication: run \`tandem source prepare\``]]
    : [];
}
