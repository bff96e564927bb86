import type { PublicField } from './public-field.ts';

/**
 * How one PostgreSQL type travels. The *wire text* is what the Avro codec stores and what JSON is printed from;
 * `toWire` makes it from PostgreSQL's own output text (under the session settings of `postgres/text-session.ts`).
 */
export interface ValueType {
  /**
   * `int`, `long`, `float`, `double`, `boolean`, `bytes`: the Avro primitive of that name.
   * `string`: an Avro string printed as a JSON string. `json`: an Avro string embedded in JSON as it is.
   */
  readonly kind: 'int' | 'long' | 'float' | 'double' | 'boolean' | 'bytes' | 'string' | 'json';
  /** The type's name in PostgreSQL, `timestamptz` or `public.mood[]`; kept in the Avro schema as a property. */
  readonly pgName: string;
  /** From PostgreSQL's text to the wire text; absent where they are the same. */
  readonly toWire?: (pgText: string) => string;
}

export interface Column {
  readonly name: string;
  readonly type: ValueType;
  readonly isKey: boolean;
}

/**
 * The row type of a resource: its visible columns, in column order. Two services that see the same table build the same
 * row type, and so the same schema and the same JSON.
 */
export interface RowType {
  readonly resource: string;
  readonly columns: readonly Column[];
  /** What customers see of the columns, in their order. Absent: the columns as they are. */
  readonly fields?: readonly PublicField[];
}

/** One row, as PostgreSQL texts or as wire texts, in the order of the row type. `null` is SQL NULL. */
export type RowTexts = readonly (string | null)[];
