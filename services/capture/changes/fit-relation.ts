import type { ColumnDescription } from '../../../shared/catalog/describe-table.ts';
import {
  type Catalog,
  listedColumns,
  ownerColumns,
  type Resource,
  whereColumns,
} from '../../../shared/domain/catalog.ts';
import { columnsOfFields } from '../../../shared/domain/public-field.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { RelationMessage } from '../replication/pgoutput.ts';

/** Columns that may be read, by resource: those of the catalog check, and those added since. */
export type KnownColumns = Map<string, Set<string>>;

/** The OID of a resource's table, as of the place in the feed; undefined if it is unknown, or the table is gone. */
export type OidOf = (resource: string) => number | undefined;

/**
 * The resource of a described table. A table that is renamed keeps its resource until the feed has told that it is gone:
 * it may get its name back in the same transaction, and the stream does not describe the root of partitions again then.
 */
export function findDescribed(
  { resources }: Pick<Catalog, 'resources'>,
  { id, schema, name }: RelationMessage,
  oidOf: OidOf,
): Resource | undefined {
  return (
    resources.find(({ table }) => table.schema === schema && table.name === name) ??
    resources.find((resource) => oidOf(resource.name) === id)
  );
}

/** Whether a table is still a resource's that it was found to be when it was described. */
export function isStillOf(resource: Resource, { id, schema, name }: RelationMessage, oidOf: OidOf): boolean {
  const { table } = resource;
  return (table.schema === schema && table.name === name) || oidOf(resource.name) === id;
}

/**
 * Reconciles a table's description in the stream with the catalog after a column was renamed. The stream describes a
 * table as of the row; an updated catalog uses today's names. A description that lacks a column of the catalog, and
 * equals today's table except for names, gets today's names, so that rows from before the rename get through.
 *
 * Otherwise a missing hidden column was either dropped, or renamed and must stay hidden. A missing exposed column was
 * either dropped, or customers would lack it. It was dropped if no new column has appeared; else an operator has to
 * decide.
 *
 * @throws SetupError when a new column may be a hidden, exposed or published one under another name
 */
export function fitRelation(
  resource: Resource,
  relation: RelationMessage,
  current: readonly ColumnDescription[],
  known: ReadonlySet<string>,
): RelationMessage {
  const fitted = underCurrentNames(resource, relation, current);
  const names = fitted.columns.map(({ name }) => name);
  const listed = listedColumns(resource);
  const gone = listed.filter((name) => !names.includes(name));
  const unknown = names.filter((name) => !listed.includes(name) && !known.has(name));
  if (gone.length > 0 && unknown.length > 0) {
    const [field, does] = howListed(resource, gone);
    throw new SetupError(
      `${relation.schema}.${relation.name} has lost the column ${gone.join(', ')}, which ${resource.name} ${does}, ` +
        `and has the new column ${unknown.join(', ')}: put the column's new name under ${field} in the catalog, or remove the old ` +
        'one if it was dropped; the feed then continues with this change',
    );
  }
  return fitted;
}

/** The catalog's setting that lists the columns, and its effect. */
function howListed({ fields, expose }: Resource, columns: readonly string[]): readonly [string, string] {
  const published = columnsOfFields(fields ?? []);
  if (columns.some((name) => published.includes(name))) return ['fields', 'publishes'];
  return expose === undefined ? ['hide', 'hides'] : ['expose', 'exposes'];
}

/** Whether a table's description has every column that the catalog names, including hidden and exposed ones. */
export function hasColumnsOf(resource: Resource, relation: RelationMessage): boolean {
  const names = relation.columns.map(({ name }) => name);
  return columnsOf(resource).every((name) => names.includes(name));
}

function columnsOf(resource: Resource): readonly string[] {
  const { key, softDelete } = resource;
  const named = [...key, ...ownerColumns(resource), ...(softDelete === undefined ? [] : [softDelete])];
  return [...named, ...whereColumns(resource), ...listedColumns(resource)];
}

function underCurrentNames(
  resource: Resource,
  relation: RelationMessage,
  current: readonly ColumnDescription[],
): RelationMessage {
  if (hasColumnsOf(resource, relation)) return relation;
  const isSameButForNames =
    current.length === relation.columns.length &&
    current.every(({ typeOid }, place) => typeOid === relation.columns[place]?.typeOid);
  if (!isSameButForNames) return relation;
  const columns = relation.columns.map((column, place) => ({ ...column, name: current[place]?.name ?? '' }));
  const renamed = { ...relation, columns };
  return hasColumnsOf(resource, renamed) ? renamed : relation;
}
