import type { ColumnDescription } from '../../../shared/catalog/describe-table.ts';
import { listedColumns, ownerColumns, type Resource, whereColumns } from '../../../shared/domain/catalog.ts';
import { columnsOfFields } from '../../../shared/domain/public-field.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { RelationMessage } from '../replication/pgoutput.ts';

/** Columns that may be read of each resource: those it had when the catalog was checked, and what was added since then. */
export type KnownColumns = Map<string, Set<string>>;

/**
 * Brings a table's description in the stream together with the catalog, where a column was renamed. The stream describes a
 * table as it was when the row was written; the catalog, once it was adapted, names it as it is now. A description that lacks a column of
 * the catalog and is today's table but for names is taken under today's names, so that rows from before the rename get through.
 *
 * Otherwise a hidden column that is gone was dropped, or goes by another name, under which it must not leave; an exposed one was
 * dropped, or would be missing from what customers get. It was dropped if nothing has come in its place, else a person has to say.
 *
 * @throws SetupError when a column may be a hidden, exposed or published one under another name
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

/** What of the catalog lists the columns, and what that does. */
function howListed({ fields, expose }: Resource, columns: readonly string[]): readonly [string, string] {
  const published = columnsOfFields(fields ?? []);
  if (columns.some((name) => published.includes(name))) return ['fields', 'publishes'];
  return expose === undefined ? ['hide', 'hides'] : ['expose', 'exposes'];
}

/** Whether a description of this table has every column that the catalog names, hidden and exposed ones included. */
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
