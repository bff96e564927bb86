import type { TableDescription } from '../../../shared/catalog/describe-table.ts';
import type { TableName } from '../../../shared/domain/catalog.ts';
import {
  findUsable,
  guessHidden,
  guessKey,
  guessRange,
  guessSoftDelete,
  rankAccountColumns,
} from './guess-columns.ts';
import { apiNameOf, singularOf, uniqueName } from './names.ts';
import type { DatabaseTables, ForeignKey } from './read-tables.ts';

/** A resource as guessed, to be looked through by a person. */
export interface DraftResource {
  readonly name: string;
  readonly table: TableName;
  readonly event: string;
  readonly key: readonly string[];
  readonly account: string;
  /** Why this column is taken for the account, where it is not its name alone. */
  readonly accountNote: string | undefined;
  readonly range: string | undefined;
  readonly softDelete: string | undefined;
  readonly hide: readonly string[];
  readonly related: readonly string[];
}

/** A table that can't be a resource as it is. */
export interface LeftOut {
  readonly table: TableName;
  readonly reason: string;
}

export interface CatalogDraft {
  readonly name: string;
  readonly resources: readonly DraftResource[];
  readonly leftOut: readonly LeftOut[];
}

/** As many as a catalog takes. */
const MAX_RESOURCES = 200;
const MAX_RELATED = 100;

/** Guesses a catalog from tables and foreign keys. Pure, and the same for the same database. */
export function draftCatalog({ tables, foreignKeys }: DatabaseTables, databaseName: string): CatalogDraft {
  const accountNames = rankAccountColumns(tables);
  const leftOut: LeftOut[] = [];
  const chosen: { table: TableDescription; key: readonly string[]; account: AccountColumn }[] = [];
  for (const table of tables) {
    const key = guessKey(table);
    const account = accountColumn(table, accountNames, foreignKeys);
    const reason = unusableReason(table, key, account);
    if (key === undefined || account === undefined || reason !== undefined) {
      leftOut.push({ table, reason: reason ?? '' });
    } else if (chosen.length === MAX_RESOURCES) {
      leftOut.push({ table, reason: `a catalog has ${MAX_RESOURCES} resources at most` });
    } else {
      chosen.push({ table, key, account });
    }
  }
  const names = nameResources(chosen.map(({ table }) => table));
  const events = new Set<string>();
  const resources = chosen.map(({ table, key, account }): DraftResource => {
    const name = names.get(idOf(table)) ?? '';
    const range = guessRange(table);
    const softDelete = guessSoftDelete(table);
    const used = [...key, account.name, ...(range === undefined ? [] : [range])];
    return {
      name,
      table,
      event: uniqueName(singularOf(name), events),
      key,
      account: account.name,
      accountNote: account.note,
      range,
      softDelete,
      hide: guessHidden(table, softDelete === undefined ? used : [...used, softDelete]),
      related: relatedOf(table, foreignKeys, names),
    };
  });
  const schemas = new Set(chosen.map(({ table }) => table.schema));
  const [only] = schemas;
  const isNamedBySchema = schemas.size === 1 && only !== undefined && only !== 'public';
  return { name: apiNameOf(isNamedBySchema ? only : databaseName), resources, leftOut };
}

interface AccountColumn {
  readonly name: string;
  readonly note: string | undefined;
}

/** A table that the others name as the account is the accounts' own: there the key says whose a row is. */
function accountColumn(
  table: TableDescription,
  names: readonly string[],
  foreignKeys: readonly ForeignKey[],
): AccountColumn | undefined {
  const own = names.find((name) => findUsable(table, name) !== undefined);
  const reference = foreignKeys.find(
    ({ to, from, columns }) =>
      idOf(to) === idOf(table) &&
      idOf(from) !== idOf(table) &&
      columns.length === 1 &&
      columns[0] === names[0],
  );
  const [key] = reference?.toColumns ?? [];
  if (key !== undefined && findUsable(table, key) !== undefined && own !== names[0]) {
    return { name: key, note: `the table of the accounts themselves: ${names[0]} elsewhere names it` };
  }
  if (own === undefined) return undefined;
  const note = own === names[0] ? undefined : `other tables have ${names[0]}: are both the same value?`;
  return { name: own, note };
}

function unusableReason(
  table: TableDescription,
  key: readonly string[] | undefined,
  account: AccountColumn | undefined,
): string | undefined {
  if (account === undefined) {
    return 'no column says which account a row belongs to: add one, so that a deleted row still says whose it was';
  }
  if (key === undefined) return 'it has no primary key, and no unique key of columns that are never null';
  if (table.hasChildren)
    return 'other tables inherit from it: a read holds their rows, but its changes do not';
  if (table.relations.some(({ persistence }) => persistence !== 'p')) {
    return 'it is unlogged, so its changes are not in the WAL';
  }
  if (table.relations.some(({ kind }) => kind === 'f')) {
    return 'a partition is a foreign table, whose changes are not in the WAL';
  }
  return undefined;
}

function nameResources(tables: readonly TableDescription[]): Map<string, string> {
  const taken = new Set<string>();
  const count = new Map<string, number>();
  for (const { name } of tables) count.set(name, (count.get(name) ?? 0) + 1);
  return new Map(
    tables.map((table) => {
      const wanted = count.get(table.name) === 1 ? table.name : `${table.schema}_${table.name}`;
      return [idOf(table), uniqueName(apiNameOf(wanted), taken)];
    }),
  );
}

/** What it refers to, and what refers to it: an export of a record is of use with both. */
function relatedOf(
  table: TableName,
  foreignKeys: readonly ForeignKey[],
  names: ReadonlyMap<string, string>,
): string[] {
  const own = idOf(table);
  const parents = foreignKeys.filter(({ from }) => idOf(from) === own).map(({ to }) => idOf(to));
  const children = foreignKeys.filter(({ to }) => idOf(to) === own).map(({ from }) => idOf(from));
  const related = new Set([...parents, ...children].filter((id) => id !== own));
  return [...related].flatMap((id) => names.get(id) ?? []).slice(0, MAX_RELATED);
}

function idOf(table: TableName): string {
  return JSON.stringify([table.schema, table.name]);
}
