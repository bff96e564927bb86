import { MAX_RESOURCES } from '../../../shared/catalog/catalog-schema.ts';
import type { TableDescription } from '../../../shared/catalog/describe-table.ts';
import type { TableName } from '../../../shared/domain/catalog.ts';
import { findAccounts, type TableAccount } from './account-of-table.ts';
import { type AccountRoot, findRoot, guessRoots, type RootGuess, rootNamed } from './find-root.ts';
import {
  archivedColumn,
  findUsable,
  guessFlag,
  guessRange,
  guessSoftDelete,
  usableKeys,
} from './guess-columns.ts';
import { keptBack } from './kept-back.ts';
import { type LeftOut, leftOutBy } from './left-out.ts';
import { apiNameOf, singularOf, uniqueName, wordsOf } from './names.ts';
import type { DatabaseTables } from './read-tables.ts';
import { type TypedColumns, tableWordOf } from './several-parents.ts';
import { areComparable, findReferences, idOf, singularsOf, type TableReference } from './table-references.ts';

/** A resource as guessed, to be looked through by a person. */
export interface DraftResource {
  readonly name: string;
  readonly table: TableName;
  readonly event: string;
  readonly key: readonly string[];
  /** A column of its own, or those that refer to the resource whose account it has. */
  readonly account: string | DraftPath;
  /** What a person has to look at. */
  readonly accountNote: string | undefined;
  readonly range: string | undefined;
  readonly softDelete: string | undefined;
  /** Says that a record is put away, which may be as good as deleted. */
  readonly archived: string | undefined;
  /** By which records may be kept back. */
  readonly flag: string | undefined;
  readonly expose: readonly string[];
  /** What a person may add to `expose`. */
  readonly keptBack: readonly string[];
  readonly related: readonly string[];
}

export interface DraftPath {
  readonly via: readonly string[];
  /** The column that says which parent it is; then `to` names one for each of its values. */
  readonly by?: string | undefined;
  readonly to: string | ReadonlyMap<string, string>;
}

export interface CatalogDraft {
  readonly name: string;
  readonly root: AccountRoot | undefined;
  /** Where there is no root: which tables may be it. */
  readonly rootGuesses: readonly RootGuess[];
  /** Of the operator's columns those that no table has. */
  readonly unknownColumns: readonly string[];
  readonly tableCount: number;
  readonly resources: readonly DraftResource[];
  readonly leftOut: readonly LeftOut[];
}

const MAX_RELATED = 100;
const MAX_GUESSES = 5;

/** What a table's own columns say of its account. */
type ChosenAccount =
  | Extract<TableAccount, { kind: 'column' }>
  | { readonly kind: 'parent'; readonly reference: TableReference; readonly note: string }
  | {
      readonly kind: 'parents';
      readonly columns: TypedColumns;
      readonly types: ReadonlyMap<string, TableDescription>;
      readonly note: string;
    };

interface Chosen {
  readonly table: TableDescription;
  readonly key: readonly string[];
  readonly account: ChosenAccount;
  readonly keptBack: readonly string[];
}

/**
 * Guesses a catalog from tables, foreign keys and names. Pure, and the same for the same database. What is not certain is left out: a draft
 * that lacks a table is mended by adding it, and one that gives an account the rows of another is not.
 *
 * @param accountColumns the operator's word for the columns that say whose a row is, in order of preference
 */
export function draftCatalog(
  database: DatabaseTables,
  databaseName: string,
  accountColumns: readonly string[] = [],
): CatalogDraft {
  const { tables } = database;
  const references = findReferences(database);
  const root =
    accountColumns.length > 0 ? rootNamed(accountColumns, tables, references) : findRoot(tables, references);
  const accounts = findAccounts(tables, references, root);
  const leftOut: LeftOut[] = [];
  const chosen: Chosen[] = [];
  // Parents before their children.
  for (const table of tables.toSorted((a, b) => hopsOf(accounts, a) - hopsOf(accounts, b))) {
    const found = choose(table, accounts.get(idOf(table)) ?? { kind: 'nobody' }, {
      database,
      references,
      chosen,
    });
    if ('reason' in found) leftOut.push(found);
    else if (chosen.length === MAX_RESOURCES) leftOut.push({ table, reason: 'too_many', detail: undefined });
    else chosen.push(found);
  }
  const places = new Map(tables.map((table, place) => [table, place]));
  chosen.sort((a, b) => (places.get(a.table) ?? 0) - (places.get(b.table) ?? 0));
  const names = nameResources(chosen.map(({ table }) => table));
  const events = new Set<string>();
  const resources = chosen.map((each) => toResource(each, references, names, events));
  const schemas = new Set(chosen.map(({ table }) => table.schema));
  const [only] = schemas;
  const isNamedBySchema = schemas.size === 1 && only !== undefined && only !== 'public';
  return {
    name: apiNameOf(isNamedBySchema ? only : databaseName),
    root,
    rootGuesses: root === undefined ? guessRoots(tables, references, MAX_GUESSES) : [],
    unknownColumns: accountColumns.filter(
      (name) =>
        !tables.some(({ columns }) => columns.some((column) => wordsOf(column.name) === wordsOf(name))),
    ),
    tableCount: tables.length,
    resources,
    leftOut,
  };
}

function hopsOf(accounts: ReadonlyMap<string, TableAccount>, table: TableDescription): number {
  const account = accounts.get(idOf(table));
  if (account?.kind === 'several') return Number.POSITIVE_INFINITY;
  return account?.kind === 'via' ? account.steps.length : 0;
}

/** A path leads to the key of the parent, by a foreign key or by the column's name alone. Undefined where it does not. */
function byParent(
  table: TableDescription,
  account: TableAccount,
  chosen: readonly Chosen[],
): Extract<ChosenAccount, { kind: 'parent' }> | undefined {
  const reference = account.kind === 'via' ? account.steps[0] : undefined;
  const parent = chosen.find((each) => each.table === reference?.to);
  if (reference === undefined || parent === undefined) return undefined;
  if (parent.key.toSorted().join() !== reference.toColumns.toSorted().join()) return undefined;
  const isNullable = reference.columns.some((name) => findUsable(table, name)?.isNotNull !== true);
  const why = reference.isConstraint
    ? `by its foreign key to ${reference.to.name}`
    : `by its name alone, no foreign key says so: are its values the ${parent.key.join(', ')} of ${reference.to.name}?`;
  const note = `${why}${isNullable ? "; it may be null, and such a row is nobody's" : ''}`;
  // In the order of the parent's key.
  const columns = parent.key.map((name) => reference.columns[reference.toColumns.indexOf(name)] ?? '');
  return { kind: 'parent', reference: { ...reference, columns, toColumns: parent.key }, note };
}

/** The parents that the types of a table's rows are called after. Undefined where none is. */
function byParents(
  table: TableDescription,
  account: TableAccount,
  { types }: DatabaseTables,
  chosen: readonly Chosen[],
): Extract<ChosenAccount, { kind: 'parents' }> | undefined {
  if (account.kind !== 'several') return undefined;
  const { columns } = account;
  const found = new Map<string, TableDescription>();
  const others: string[] = [];
  for (const type of types.get(idOf(table)) ?? []) {
    const named = chosen.filter((each) => singularsOf(each.table).includes(tableWordOf(type)));
    const [parent] = named;
    const key = parent?.table.columns.find(({ name }) => name === parent.key[0]);
    const isFitting = named.length === 1 && parent?.key.length === 1 && key && areComparable(columns.id, key);
    if (parent !== undefined && isFitting === true) found.set(type, parent.table);
    else others.push(type);
  }
  if (found.size === 0) return undefined;
  const note =
    `by the names of the types in its first rows${others.length === 0 ? '' : `; rows of ${others.join(', ')} are nobody's`}. ` +
    'Add types that are missing';
  return { kind: 'parents', columns, types: found, note };
}

function choose(
  table: TableDescription,
  found: TableAccount,
  {
    database,
    references,
    chosen,
  }: {
    readonly database: DatabaseTables;
    readonly references: readonly TableReference[];
    readonly chosen: readonly Chosen[];
  },
): Chosen | LeftOut {
  const account =
    found.kind === 'column'
      ? found
      : (byParent(table, found, chosen) ?? byParents(table, found, database, chosen));
  if (account === undefined) return leftOutBy(table, found as Exclude<TableAccount, { kind: 'column' }>);
  const owners = ownersOf(account);
  const detail = whyNotInWal(table);
  if (detail !== undefined) return { table, reason: 'storage', detail };
  const isReference = (name: string) =>
    owners.includes(name) ||
    references.some(({ from, columns }) => from === table && columns.length === 1 && columns[0] === name);
  const kept = keptBack(table, isReference);
  const keys = usableKeys(table);
  const key = keys.find((columns) => !columns.some((name) => kept.includes(name)));
  if (key !== undefined) return { table, key, account, keptBack: kept };
  const secret = keys[0]?.filter((name) => kept.includes(name)).join(', ');
  return {
    table,
    reason: 'no_key',
    detail: secret === undefined ? undefined : `its key ${secret} may be a secret`,
  };
}

function ownersOf(account: ChosenAccount): readonly string[] {
  switch (account.kind) {
    case 'column':
      return [account.column.name];
    case 'parent':
      return account.reference.columns;
    case 'parents':
      return [account.columns.type.name, account.columns.id.name];
  }
}

function pathOf(account: ChosenAccount, names: ReadonlyMap<string, string>): DraftResource['account'] {
  const nameOf = (table: TableDescription) => names.get(idOf(table)) ?? '';
  switch (account.kind) {
    case 'column':
      return account.column.name;
    case 'parent':
      return { via: account.reference.columns, to: nameOf(account.reference.to) };
    case 'parents': {
      const { type, id } = account.columns;
      const to = new Map([...account.types].map(([value, table]) => [value, nameOf(table)]));
      return { via: [id.name], by: type.name, to };
    }
  }
}

function whyNotInWal(table: TableDescription): string | undefined {
  if (table.hasChildren) return 'other tables inherit from it';
  if (table.relations.some(({ persistence }) => persistence !== 'p')) return 'it is unlogged';
  if (table.relations.some(({ kind }) => kind === 'f')) return 'a partition is a foreign table';
  return undefined;
}

function toResource(
  { table, key, account, keptBack: kept }: Chosen,
  references: readonly TableReference[],
  names: ReadonlyMap<string, string>,
  events: Set<string>,
): DraftResource {
  const name = names.get(idOf(table)) ?? '';
  const softDelete = guessSoftDelete(table);
  return {
    name,
    table,
    event: uniqueName(singularOf(name), events),
    key,
    account: pathOf(account, names),
    accountNote: account.note,
    range: guessRange(table),
    softDelete,
    archived: softDelete === undefined ? archivedColumn(table) : undefined,
    flag: guessFlag(table),
    expose: table.columns.flatMap((column) =>
      column.isGenerated || kept.includes(column.name) ? [] : [column.name],
    ),
    keptBack: kept,
    related: relatedOf(table, references, names),
  };
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
  table: TableDescription,
  references: readonly TableReference[],
  names: ReadonlyMap<string, string>,
): string[] {
  const parents = references.filter(({ from }) => from === table).map(({ to }) => to);
  const children = references.filter(({ to }) => to === table).map(({ from }) => from);
  const related = new Set([...parents, ...children].filter((other) => other !== table));
  return [...related].flatMap((other) => names.get(idOf(other)) ?? []).slice(0, MAX_RELATED);
}
