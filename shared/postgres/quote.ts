import type { TableName } from '../domain/catalog.ts';

/** A name as an SQL identifier. @throws RangeError for a name that PostgreSQL can't have */
export function quoteIdent(name: string): string {
  if (name === '' || name.includes('\0')) throw new RangeError(`not an identifier: ${JSON.stringify(name)}`);
  return `"${name.replaceAll('"', '""')}"`;
}

/**
 * A text as an SQL literal, for the statements that take no parameters. The `E''` form is used as soon as there is
 * a backslash, so that the text means the same whatever `standard_conforming_strings` is.
 * @throws RangeError for a text with a NUL, which PostgreSQL can't hold
 */
export function quoteLiteral(text: string): string {
  if (text.includes('\0')) throw new RangeError('a text with a NUL character cannot be an SQL literal');
  const doubled = text.replaceAll("'", "''");
  return doubled.includes('\\') ? `E'${doubled.replaceAll('\\', '\\\\')}'` : `'${doubled}'`;
}

export function quoteTable({ schema, name }: TableName): string {
  return `${quoteIdent(schema)}.${quoteIdent(name)}`;
}
