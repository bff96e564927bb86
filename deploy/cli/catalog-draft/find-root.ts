import type { TableDescription } from '../../../shared/catalog/describe-table.ts';
import { findUsable } from './guess-columns.ts';
import { wordsOf } from './names.ts';
import { idOf, singularsOf, type TableReference } from './table-references.ts';

/** What tells the accounts of a product apart: one for the whole draft, so that values of different things never mix. */
export interface AccountRoot {
  /** The accounts' own table; undefined where the database has none. */
  readonly table: TableDescription | undefined;
  /** Its column that the others name. */
  readonly key: string | undefined;
  /** Names of the columns that say whose a row is, as words, the likeliest first. */
  readonly names: readonly string[];
  /** How many other tables have such a column. */
  readonly tableCount: number;
  /** The operator named the columns. */
  readonly isNamed: boolean;
}

/** A table that may hold the accounts, for a person to decide. */
export interface RootGuess {
  readonly table: TableDescription;
  readonly column: string;
  readonly tableCount: number;
}

/** What products call the customer whose a row is, the likeliest first. */
const ACCOUNT_WORDS: readonly string[] = [
  'account',
  'tenant',
  'organization',
  'organisation',
  'org',
  'workspace',
  'company',
  'merchant',
];

/** Words that mean the customer in some products, and in others something of a customer's: they count when most tables say so. */
const POSSIBLE_WORDS: readonly string[] = [
  'team',
  'shop',
  'store',
  'client',
  'customer',
  'project',
  'environment',
  'site',
  'network',
  'business',
  'school',
  'practice',
];
/** Those who use a product belong to an account, though accounts may refer to them as owners. */
const USER_WORDS: readonly string[] = ['user', 'person', 'member', 'profile', 'identity'];

const COLUMN_ENDINGS: readonly string[] = ['_id', '_uuid', '_guid', '_uid', '_key', '_ref', ''];
const ACCOUNT_NAMES = COLUMN_ENDINGS.flatMap((ending) => ACCOUNT_WORDS.map((word) => `${word}${ending}`));

/**
 * Finds what tells accounts apart. Of the tables that are called as accounts are, the one that most others refer to, and that refers
 * to no other such table: teams that belong to an account are none. Where there is no such table, the column that most tables have.
 */
export function findRoot(
  tables: readonly TableDescription[],
  references: readonly TableReference[],
): AccountRoot | undefined {
  const named = bestTable(tables, references);
  const unowned = withoutTable(tables, references);
  return (unowned?.tableCount ?? 0) > (named?.tableCount ?? 0) ? unowned : named;
}

/** Whether a column is called as those that say whose a row is. A bare `company` is as likely the name of one. */
export function isAccountName(column: string): boolean {
  return ACCOUNT_NAMES.includes(wordsOf(column)) && !ACCOUNT_WORDS.includes(wordsOf(column));
}

/** The root that the operator named by its columns. */
export function rootNamed(
  columns: readonly string[],
  tables: readonly TableDescription[],
  references: readonly TableReference[],
): AccountRoot {
  const names = columns.map(wordsOf);
  const own = references.find((one) => one.columns.length === 1 && wordOf(one) === names[0]);
  const having = tables.filter((table) => table.columns.some(({ name }) => names.includes(wordsOf(name))));
  return {
    table: own?.to,
    key: own?.toColumns[0],
    names,
    tableCount: having.filter((table) => table !== own?.to).length,
    isNamed: true,
  };
}

/** The tables that most others refer to, which may be the accounts under a name that nobody can guess. */
export function guessRoots(
  tables: readonly TableDescription[],
  references: readonly TableReference[],
  limit: number,
): RootGuess[] {
  return tables
    .flatMap((table): RootGuess[] => {
      const { names, tableCount } = rootOf(table, references);
      const [column] = references.find((one) => one.to === table && wordOf(one) === names[0])?.columns ?? [];
      return column === undefined ? [] : [{ table, column, tableCount }];
    })
    .toSorted((a, b) => b.tableCount - a.tableCount)
    .slice(0, limit);
}

interface Candidate extends AccountRoot {
  readonly isCertain: boolean;
}

function bestTable(
  tables: readonly TableDescription[],
  references: readonly TableReference[],
): AccountRoot | undefined {
  const candidates = tables.flatMap((table): Candidate[] => {
    const isOf = (words: readonly string[]) => singularsOf(table).some((word) => words.includes(word));
    const isCertain = isOf(ACCOUNT_WORDS);
    if (!isCertain && !isOf(POSSIBLE_WORDS)) return [];
    const root = rootOf(table, references);
    return root.tableCount === 0 ? [] : [{ ...root, isCertain }];
  });
  const refers = (from: Candidate, to: Candidate) =>
    references.some(
      (one) => one.from === from.table && one.to === to.table && to.names.includes(wordOf(one)),
    );
  const isOwned = (one: Candidate) =>
    candidates.some(
      (other) =>
        refers(one, other) &&
        !refers(other, one) &&
        (other.isCertain || other.tableCount >= one.tableCount) &&
        other !== one,
    );
  // Who is called an account in most products counts double.
  const weightOf = ({ isCertain, tableCount }: Candidate) => tableCount * (isCertain ? 2 : 1);
  const [best] = candidates.filter((one) => !isOwned(one)).toSorted((a, b) => weightOf(b) - weightOf(a));
  if (best === undefined || best.isCertain) return best;
  const isOfMost = best.tableCount >= 2 && best.tableCount * 2 >= tables.length - 1;
  return isOfMost && !hasLargerParent(best, references) ? best : undefined;
}

/** It refers to a table that more others refer to: which may be the accounts, under another name. */
function hasLargerParent({ table, tableCount }: Candidate, references: readonly TableReference[]): boolean {
  return references.some(
    ({ from, to }) =>
      from === table &&
      to !== table &&
      !singularsOf(to).some((word) => USER_WORDS.includes(word)) &&
      rootOf(to, references).tableCount >= tableCount,
  );
}

function rootOf(table: TableDescription, references: readonly TableReference[]): AccountRoot {
  const direct = references.filter(
    ({ from, to, columns }) => to === table && from !== table && columns.length === 1,
  );
  const [key, toKey] = largestGroup(direct, ({ toColumns }) => toColumns[0] ?? '') ?? [undefined, []];
  const [commonest] = largestGroup(toKey, wordOf) ?? [];
  const plain = key === undefined ? [] : singularsOf(table).map((singular) => `${singular}_${wordsOf(key)}`);
  const names = [...new Set(commonest === undefined ? plain : [commonest, ...plain])];
  const naming = toKey.filter((one) => names.includes(wordOf(one)));
  const tableCount = new Set(naming.map(({ from }) => idOf(from))).size;
  return { table, key, names, tableCount, isNamed: false };
}

/** Columns that are called as accounts are and refer to no table of the database: the accounts are kept elsewhere. */
function withoutTable(
  tables: readonly TableDescription[],
  references: readonly TableReference[],
): AccountRoot | undefined {
  const tableCountOf = (name: string) =>
    tables.filter((table) => {
      const column = table.columns.find((one) => wordsOf(one.name) === name);
      if (column === undefined || findUsable(table, column.name) === undefined) return false;
      // A table's own number: `account.accountId`.
      if (singularsOf(table).some((singular) => name.startsWith(`${singular}_`))) return false;
      return !references.some(
        ({ from, columns }) => from === table && columns.length === 1 && columns[0] === column.name,
      );
    }).length;
  const [best] = ACCOUNT_NAMES.map((name) => ({ name, tableCount: tableCountOf(name) }))
    .filter(({ name, tableCount }) => isAccountName(name) || tableCount * 2 > tables.length)
    .toSorted((a, b) => b.tableCount - a.tableCount);
  if (best === undefined || best.tableCount === 0) return undefined;
  return {
    table: undefined,
    key: undefined,
    names: [best.name],
    tableCount: best.tableCount,
    isNamed: false,
  };
}

function wordOf({ columns }: TableReference): string {
  return wordsOf(columns[0] ?? '');
}

function largestGroup<V>(
  values: readonly V[],
  keyOf: (value: V) => string,
): [string, readonly V[]] | undefined {
  return [...Map.groupBy(values, keyOf)].toSorted(([, a], [, b]) => b.length - a.length)[0];
}
