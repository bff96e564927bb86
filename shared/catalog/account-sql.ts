import { type ParentAccount, parentOf, type Resource } from '../domain/catalog.ts';
import { quoteIdent, quoteLiteral, quoteTable } from '../postgres/quote.ts';

/**
 * The condition that a row is the account's. Every statement that selects rows by their account has it from here: of snapshots,
 * counts, estimates, bulk filters and items, synchronous operations and `verify`. A row that refers to a parent is joined with it, by
 * its key, up to the table with the account column; one that refers to several kinds of parents, with that of its type. `where` and
 * `soft_delete` of a parent say nothing about its children. Of a shared resource every row is in every account.
 *
 * @param own one of the row's own columns with its table's alias
 * @param compare takes the account column, and returns its comparison with the account; once for each kind of parent
 */
export function ownedSql(
  resource: Resource,
  own: (column: string) => string,
  compare: (accountColumn: string) => string,
  depth = 1,
): string {
  const { account } = resource;
  if (typeof account === 'string') return compare(own(account));
  const parents = parentOf(resource);
  if (parents === undefined) return 'true';
  const place = placeIn(depth);
  const ways = parents.parents.map(({ type, resource: parent }) => {
    const conditions = [...joined(parents, parent, own, place), ownedSql(parent, place, compare, depth + 1)];
    const found = `exists (select from ${quoteTable(parent.table)} ${aliasAt(depth)} where ${conditions.join(' and ')})`;
    return type === undefined ? found : `${typeSql(parents, own)} = ${quoteLiteral(type)} and ${found}`;
  });
  return parents.typeColumn === undefined ? ways.join(' or ') : `(${ways.join(' or ')})`;
}

/**
 * The account of a row, as an expression of the account column's type; null for nobody's.
 *
 * @param own one of the row's own columns with its table's alias
 */
export function accountValueSql(resource: Resource, own: (column: string) => string, depth = 1): string {
  const { account } = resource;
  if (typeof account === 'string') return own(account);
  const parents = parentOf(resource);
  if (parents === undefined) return 'null';
  const place = placeIn(depth);
  const ways = parents.parents.map(({ type, resource: parent }) => {
    const found =
      `(select ${accountValueSql(parent, place, depth + 1)} from ${quoteTable(parent.table)} ${aliasAt(depth)} ` +
      `where ${joined(parents, parent, own, place).join(' and ')})`;
    return type === undefined ? found : `when ${quoteLiteral(type)} then ${found}`;
  });
  return parents.typeColumn === undefined
    ? ways.join('')
    : `case ${typeSql(parents, own)} ${ways.join(' ')} end`;
}

function joined(
  { columns }: ParentAccount,
  parent: Resource,
  own: (column: string) => string,
  place: (column: string) => string,
): string[] {
  return columns.map((column, at) => `${place(parent.key[at] ?? '')} = ${own(column)}`);
}

/** The type as its text, compared byte by byte, as the feed compares it. */
function typeSql({ typeColumn = '' }: ParentAccount, own: (column: string) => string): string {
  return `${own(typeColumn)}::text collate "C"`;
}

/** No statement calls a table of its own so. */
const aliasAt = (depth: number) => `owner${depth}`;

const placeIn = (depth: number) => (column: string) => `${aliasAt(depth)}.${quoteIdent(column)}`;
