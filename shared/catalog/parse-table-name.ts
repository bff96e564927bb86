import type { TableName } from '../domain/catalog.ts';

const PART = /"((?:[^"]|"")+)"|([^".\s]+)/y;

/**
 * Reads `schema.table`; a part with a dot, a space or a quote in it is written in double quotes as in SQL.
 * Case is kept as written, quoted or not: the catalog holds names as PostgreSQL stores them.
 * @returns undefined when the text is not a table name with its schema
 */
export function parseTableName(text: string): TableName | undefined {
  const schema = readPart(text, 0);
  if (schema === undefined || text[schema.end] !== '.') return undefined;
  const table = readPart(text, schema.end + 1);
  if (table === undefined || table.end !== text.length) return undefined;
  return { schema: schema.name, name: table.name };
}

/** `schema.table` as an operator reads it in a message. */
export function showTable({ schema, name }: TableName): string {
  return `${schema}.${name}`;
}

function readPart(text: string, start: number): { name: string; end: number } | undefined {
  PART.lastIndex = start;
  const match = PART.exec(text);
  if (match === null) return undefined;
  return { name: match[1]?.replaceAll('""', '"') ?? match[2] ?? '', end: PART.lastIndex };
}
