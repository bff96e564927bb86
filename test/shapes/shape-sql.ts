import type { TableName } from '../../shared/domain/catalog.ts';
import { quoteIdent, quoteTable } from '../../shared/postgres/quote.ts';
import { ownerOf, type Shape, type ShapeTable } from './shape.ts';

/** Columns as products have them, by their words. Each table has some. */
const COLUMNS: readonly (readonly [word: string, type: string])[] = [
  ['note', 'text'],
  ['amount', 'numeric(12,2)'],
  ['sort_order', 'integer'],
  ['is_enabled', 'boolean not null default true'],
  ['metadata', 'jsonb'],
  ['labels', 'text[]'],
  ['due_on', 'date'],
  ['ratio', 'double precision'],
  ['byte_count', 'bigint'],
  ['access_token', 'text'],
];
const COLUMNS_EACH = 4;

/** The table in PostgreSQL. */
export function tableOf({ style }: Shape, { word, schema }: ShapeTable): TableName {
  return { schema: style.schemaName(schema), name: style.tableName(word) };
}

/** Words of a table's own columns, the references and what every table has left out. */
export function valueColumns({ tables }: Shape, table: ShapeTable): readonly string[] {
  return columnsAt(tables.indexOf(table)).map(([word]) => word);
}

function columnsAt(place: number): (readonly [word: string, type: string])[] {
  return Array.from(
    { length: COLUMNS_EACH },
    (_, at) => COLUMNS[(place * 3 + at) % COLUMNS.length] as (typeof COLUMNS)[number],
  );
}

/** Every statement that makes the schema. */
export function shapeSql(shape: Shape): string[] {
  const { style, tables } = shape;
  const schemas = [...new Set(tables.map(({ schema }) => style.schemaName(schema)))];
  return [
    ...schemas.map((schema) => `create schema ${quoteIdent(schema)}`),
    ...tables.map((table, place) => createTable(shape, table, place)),
  ];
}

function createTable(shape: Shape, table: ShapeTable, place: number): string {
  const { style } = shape;
  const column = (word: string, type: string) => `${quoteIdent(style.columnName(word))} ${type}`;
  const owner = ownerOf(shape, table);
  const columns = [
    column('id', `${style.idType} primary key`),
    ...table.references.map((reference) => {
      const { to, word, isNullable } = reference;
      const parent = shape.tables.find((each) => each.word === to) as ShapeTable;
      const constraint = style.hasForeignKeys
        ? ` references ${quoteTable(tableOf(shape, parent))} on delete ${reference === owner || !isNullable ? 'cascade' : 'set null'}`
        : '';
      return column(`${word}_id`, `${style.idType}${isNullable ? '' : ' not null'}${constraint}`);
    }),
    ...(table.several.length === 0
      ? []
      : [column('subject_type', 'text not null'), column('subject_id', `${style.idType} not null`)]),
    column('title', 'text not null'),
    ...columnsAt(place).map(([word, type]) => column(word, type)),
    column('created_at', 'timestamptz not null'),
  ];
  return `create table ${quoteTable(tableOf(shape, table))} (${columns.join(', ')})`;
}
