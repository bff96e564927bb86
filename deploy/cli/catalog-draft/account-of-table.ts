import type { ColumnDescription, TableDescription } from '../../../shared/catalog/describe-table.ts';
import { type AccountRoot, isAccountName } from './find-root.ts';
import { findUsable } from './guess-columns.ts';
import { wordsOf } from './names.ts';
import { findTypedColumns, type TypedColumns } from './several-parents.ts';
import { areComparable, idOf, type TableReference } from './table-references.ts';

/** Whose a table's rows are, as far as columns can tell. */
export type TableAccount =
  /** A column of its own says so. */
  | { readonly kind: 'column'; readonly column: ColumnDescription; readonly note: string | undefined }
  /** A record that it refers to says so. The steps lead there, the first one from the table itself. */
  | { readonly kind: 'via'; readonly steps: readonly TableReference[] }
  /** A column may say so, or something else. */
  | { readonly kind: 'unsure'; readonly why: string }
  /** A type and an ID name a record of one of several tables. */
  | { readonly kind: 'several'; readonly columns: TypedColumns }
  | { readonly kind: 'nobody' };

/**
 * Says of each table whose its rows are. A column that refers to a table which has an account itself never is the account: numbers
 * of teams and of accounts coincide, and account 1 would get the members of team 1.
 */
export function findAccounts(
  tables: readonly TableDescription[],
  references: readonly TableReference[],
  root: AccountRoot | undefined,
): Map<string, TableAccount> {
  const accounts = new Map<string, TableAccount>();
  if (root !== undefined) {
    const having = ownColumns(tables, references, root);
    for (const table of tables) {
      const found = ownAccount(table, references, root, having.get(idOf(table)));
      if (found !== undefined) accounts.set(idOf(table), found);
    }
  }
  addVia(accounts, references);
  for (const table of tables) {
    if (accounts.has(idOf(table))) continue;
    const columns = findTypedColumns(table);
    accounts.set(idOf(table), columns === undefined ? { kind: 'nobody' } : { kind: 'several', columns });
  }
  return accounts;
}

interface OwnColumn {
  /** Place of its name among the root's. */
  readonly rank: number;
  readonly column: ColumnDescription;
  /** What it refers to; undefined where neither a constraint nor its name says so. */
  readonly target: TableReference | undefined;
}

/** For each table its column of the likeliest name. */
function ownColumns(
  tables: readonly TableDescription[],
  references: readonly TableReference[],
  root: AccountRoot,
): Map<string, OwnColumn> {
  const found = new Map<string, OwnColumn>();
  for (const [rank, name] of root.names.entries()) {
    for (const table of tables) {
      if (table === root.table || found.has(idOf(table))) continue;
      const column = table.columns.find((one) => wordsOf(one.name) === name && !one.isGenerated);
      if (column === undefined) continue;
      const targets = references.filter(
        ({ from, columns }) => from === table && columns.length === 1 && columns[0] === column.name,
      );
      const target = targets.find(({ to }) => to === root.table) ?? targets[0];
      const isElsewhere = target !== undefined && target.to !== root.table;
      // What the operator named may be kept in a table of its own, unless that table's rows belong to an account themselves.
      const isMeant = root.isNamed && rank > 0 && !found.has(target === undefined ? '' : idOf(target.to));
      if (!isElsewhere || isMeant) found.set(idOf(table), { rank, column, target });
    }
  }
  return found;
}

function ownAccount(
  table: TableDescription,
  references: readonly TableReference[],
  root: AccountRoot,
  own: OwnColumn | undefined,
): TableAccount | undefined {
  if (table === root.table) {
    const column = root.key === undefined ? undefined : findUsable(table, root.key);
    if (column === undefined) return undefined;
    return { kind: 'column', column, note: 'the table of the accounts themselves' };
  }
  if (own === undefined) {
    const other = references.find(
      ({ from, to, columns }) => from === table && to === root.table && columns.length === 1,
    );
    if (other === undefined) return calledAsAccount(table, references, root);
    const why = `${other.columns[0]} refers to an account, and may say something else than whose the row is`;
    return { kind: 'unsure', why };
  }
  const { column, target } = own;
  if (target?.to === root.table && target?.toColumns[0] !== root.key) {
    const why = `${column.name} names accounts by ${target?.toColumns[0]}, and other tables do by ${root.key}`;
    return { kind: 'unsure', why };
  }
  const key = root.table?.columns.find(({ name }) => name === root.key);
  if (key !== undefined && target === undefined && !areComparable(column, key)) {
    const why = `${column.name} is ${column.typeName}, and ${root.table?.name}.${key.name} is ${key.typeName}`;
    return { kind: 'unsure', why };
  }
  return { kind: 'column', column, note: noteOf(own, root) };
}

/** Accounts by another name, or of another thing. */
function calledAsAccount(
  table: TableDescription,
  references: readonly TableReference[],
  { names }: AccountRoot,
): TableAccount | undefined {
  const column = table.columns.find(
    ({ name }) =>
      isAccountName(name) &&
      !references.some(({ from, columns }) => from === table && columns.length === 1 && columns[0] === name),
  );
  if (column === undefined) return undefined;
  const why = `it has ${column.name}, and other tables have ${names[0]}: are both the same value?`;
  return { kind: 'unsure', why };
}

function noteOf({ rank, column, target }: OwnColumn, { names, table }: AccountRoot): string | undefined {
  const notes: string[] = [];
  const isOfRoot = target !== undefined && target.to === table;
  if (rank > 0 && !isOfRoot) notes.push(`other tables have ${names[0]}: are both the same value?`);
  if (!column.isNotNull) notes.push("it may be null, and such a row is nobody's");
  return notes.length === 0 ? undefined : notes.join('; ');
}

/** From those that have an account step by step to those that refer to them; first by columns that are never null. */
function addVia(accounts: Map<string, TableAccount>, references: readonly TableReference[]): void {
  const ranked = references
    .filter(({ from, to }) => from !== to)
    .toSorted((a, b) => weightOf(a) - weightOf(b));
  for (let isAnyNew = true; isAnyNew; ) {
    const found = new Map<string, TableAccount>();
    for (const reference of ranked) {
      const id = idOf(reference.from);
      const parent = accounts.get(idOf(reference.to));
      if (accounts.has(id) || found.has(id)) continue;
      if (parent?.kind === 'column') found.set(id, { kind: 'via', steps: [reference] });
      if (parent?.kind === 'via') found.set(id, { kind: 'via', steps: [reference, ...parent.steps] });
    }
    for (const [id, account] of found) accounts.set(id, account);
    isAnyNew = found.size > 0;
  }
}

function weightOf({ from, columns, isConstraint }: TableReference): number {
  const isNullable = columns.some((name) => findUsable(from, name)?.isNotNull !== true);
  return (isNullable ? 2 : 0) + (isConstraint ? 0 : 1);
}
