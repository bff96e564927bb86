import type { ValueType } from '../domain/row-shape.ts';
import {
  booleanToWire,
  byteaToWire,
  doubleToWire,
  floatToWire,
  jsonToWire,
  moneyToWire,
  timestampToWire,
  timestamptzToWire,
} from './scalar-text.ts';

/**
 * PostgreSQL's own types that are more than a text. Every other type travels as the text PostgreSQL prints: numeric
 * and the wide ranges of date and interval have no Avro or JSON type that holds all of their values.
 */
const SCALAR_TYPES: ReadonlyMap<string, Omit<ValueType, 'pgName'>> = new Map([
  ['int2', { kind: 'int' }],
  ['int4', { kind: 'int' }],
  ['int8', { kind: 'long' }],
  ['float4', { kind: 'float', toWire: floatToWire }],
  ['float8', { kind: 'double', toWire: doubleToWire }],
  ['bool', { kind: 'boolean', toWire: booleanToWire }],
  ['bytea', { kind: 'bytes', toWire: byteaToWire }],
  ['money', { kind: 'string', toWire: moneyToWire }],
  ['timestamp', { kind: 'string', toWire: timestampToWire }],
  ['timestamptz', { kind: 'string', toWire: timestamptzToWire }],
  ['json', { kind: 'json', toWire: jsonToWire }],
  ['jsonb', { kind: 'json', toWire: jsonToWire }],
] satisfies [string, Omit<ValueType, 'pgName'>][]);

/**
 * A type of `pg_catalog` by its name. The declared precision is part of a numeric's name (`numeric(10,4)`), since
 * a column of a Parquet file needs it. `typmod` is `pg_attribute.atttypmod`, -1 for none.
 */
export function scalarType(name: string, typmod: number): ValueType {
  const pgName = name === 'numeric' ? numericName(typmod) : name;
  return { kind: 'string', ...SCALAR_TYPES.get(name), pgName };
}

/** See `make_numeric_typmod` in PostgreSQL: 16 bits of precision over 11 of signed scale, and 4 added to both. */
function numericName(typmod: number): string {
  if (typmod < 4) return 'numeric';
  const precision = (typmod - 4) >> 16;
  const scale = (((typmod - 4) & 0x7ff) ^ 0x400) - 0x400;
  return `numeric(${precision},${scale})`;
}
