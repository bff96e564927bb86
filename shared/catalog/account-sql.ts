import { type ParentAccount, parentOf, type Resource } from '../domain/catalog.ts';
import { quoteIdent, quoteTable } from '../postgres/quote.ts';

/**
 * The condition that a row is the account's. Every statement that selects rows by their account has it from here: of snapshots,
 * counts, estimates, bulk filters and items, synchronous operations and `verify`. A row that refers to a parent is joined with it, by
 * its key, up to the table with the account column. `where` and `soft_delete` of a parent say nothing about its children.
 * Of a shared resource every row is in every account.
 *
 * @param own one of the row's own columns with its table's alias
 * @param compare takes the account column, and returns its comparison with the account
 */
export function ownedSql(
  resource: Resource,
  own: (column: string) => string,
  compare: (accountColumn: string) => string,
): string {
  const { account } = resource;
  if (typeof account === 'string') return compare(own(account));
  const parent = parentOf(resource);
  return parent === undefined ? 'true' : ownedByParent(parent, own, compare, 1);
}

function ownedByParent(
  { columns, parent }: ParentAccount,
  own: (column: string) => string,
  compare: (accountColumn: string) => string,
  depth: number,
): string {
  const place = placeIn(depth);
  const { account } = parent;
  const next = parentOf(parent);
  const owned =
    next === undefined ? compare(place(String(account))) : ownedByParent(next, place, compare, depth + 1);
  const conditions = [...joined(columns, parent, own, place), owned];
  return `exists (select from ${quoteTable(parent.table)} ${aliasAt(depth)} where ${conditions.join(' and ')})`;
}

/**
 * The account of a row, as an expression of the account column's type; null for nobody's.
 *
 * @param own one of the row's own columns with its table's alias
 */
export function accountValueSql(resource: Resource, own: (column: string) => string, depth = 1): string {
  const { account } = resource;
  if (typeof account === 'string') return own(account);
  const { columns, parent } = parentOf(resource) ?? {};
  if (columns === undefined || parent === undefined) return 'null';
  const place = placeIn(depth);
  return (
    `(select ${accountValueSql(parent, place, depth + 1)} from ${quoteTable(parent.table)} ${aliasAt(depth)} ` +
    `where ${joined(columns, parent, own, place).join(' and ')})`
  );
}

function joined(
  columns: readonly string[],
  parent: Resource,
  own: (column: string) => string,
  place: (column: string) => string,
): string[] {
  return columns.map((column, at) => `${place(parent.key[at] ?? '')} = ${own(column)}`);
}

/** No statement calls a table of its own so. */
const aliasAt = (depth: number) => `owner${depth}`;

const placeIn = (depth: number) => (column: string) => `${aliasAt(depth)}.${quoteIdent(column)}`;
