import { createHash } from 'node:crypto';
import { ancestorsOf, type Catalog, ownerColumns, type Resource } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { childrenOf } from './check-account-paths.ts';
import { showTable } from './parse-table-name.ts';
import { readTableFacts, type TableFacts } from './table-facts.ts';

/** The tables on the paths of a catalog as they are now. */
export interface PathState {
  /** The resources whose records can't be told whose they are, by name, each with the reason. */
  readonly broken: ReadonlyMap<string, string>;
  /** Another text once a column of a path was made again: rows that are there may have another value in it then. */
  readonly columns: string;
}

/** A path is broken if a table on it is gone, has lost a column of the path, or is not in the publication, so that its changes are not streamed. */
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
  const broken = new Map(
    children.flatMap((child) => {
      const fault = [child as Resource, ...ancestorsOf(child)]
        .map(({ name }) => faults.get(name))
        .find(Boolean);
      return fault === undefined
        ? []
        : [[child.name, `its records have their account by a path on which ${fault}`]];
    }),
  );
  const places = unique.map((each) => [each.name, ...placesOf(each, facts.get(each.name))]);
  return {
    broken,
    columns: createHash('sha256').update(JSON.stringify(places)).digest('base64url').slice(0, 16),
  };
}

function placesOf(resource: Resource, facts: TableFacts | undefined): (number | null)[] {
  return [...resource.key, ...ownerColumns(resource)].map(
    (name) => facts?.columns.find((column) => column.name === name)?.place ?? null,
  );
}

function faultOf(resource: Resource, facts: TableFacts | undefined): [string, string][] {
  const table = showTable(resource.table);
  if (facts === undefined) return [[resource.name, `the table ${table} does not exist`]];
  const lost = [...resource.key, ...ownerColumns(resource)].find(
    (name) => !facts.columns.some((column) => column.name === name),
  );
  if (lost !== undefined) return [[resource.name, `${table} has no column ${lost}`]];
  return facts.publication === null
    ? [[resource.name, `${table} is not in the publication: run \`tandem source prepare\``]]
    : [];
}
