import type { ValueType } from '../domain/row-shape.ts';
import { doubleText, floatText } from './float-text.ts';
import { escapeLineSeparators } from './json-text.ts';
import { UnreadableTextError } from './unreadable-text-error.ts';

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

// Each function takes the text PostgreSQL prints for one type and gives the type's wire text.

export function booleanToWire(pgText: string): string {
  if (pgText === 't') return 'true';
  if (pgText === 'f') return 'false';
  throw new UnreadableTextError('a boolean (t or f)');
}

/** PostgreSQL and JavaScript print the same float8 differently (`1e+20`); one of the two forms has to be the form. */
export function doubleToWire(pgText: string): string {
  return doubleText(parseFloatText(pgText));
}

export function floatToWire(pgText: string): string {
  return floatText(Math.fround(parseFloatText(pgText)));
}

/** @throws UnreadableTextError when the text is not a floating-point number */
export function parseFloatText(pgText: string): number {
  const value = Number(pgText);
  if (pgText === '' || (Number.isNaN(value) && pgText !== 'NaN')) {
    throw new UnreadableTextError('a floating-point number');
  }
  return value;
}

/** `\x00ff10` to base64. */
export function byteaToWire(pgText: string): string {
  const hex = byteaHex(pgText);
  const bytes = Buffer.from(hex, 'hex');
  // `Buffer.from` stops in silence at the first character that is not hexadecimal.
  if (bytes.length * 2 !== hex.length) throw new UnreadableTextError('a bytea in hex form');
  return bytes.toString('base64');
}

/** @throws UnreadableTextError when `bytea_output` was not `hex` */
export function byteaHex(pgText: string): string {
  if (!pgText.startsWith('\\x')) throw new UnreadableTextError('a bytea in hex form');
  return pgText.slice(2);
}

/** `-$1,234.56` to `-1234.56`: under `lc_monetary = C` all but the digits, point and sign is decoration. */
export function moneyToWire(pgText: string): string {
  return pgText.replace(/[$,]/g, '');
}

/**
 * RFC 3339 in UTC with the fraction as stored: `2026-01-02T03:04:05.123456Z`. What RFC 3339 can't say, a year before
 * Christ or after 9999 and the infinities, keeps PostgreSQL's text.
 */
export function timestamptzToWire(pgText: string): string {
  if (!hasRfc3339Date(pgText) || !pgText.endsWith('+00')) return pgText;
  return `${pgText.slice(0, 10)}T${pgText.slice(11, -3)}Z`;
}

/** The same without the `Z`. */
export function timestampToWire(pgText: string): string {
  if (!hasRfc3339Date(pgText) || pgText.endsWith('BC')) return pgText;
  return `${pgText.slice(0, 10)}T${pgText.slice(11)}`;
}

const HYPHEN = 0x2d;
const SPACE = 0x20;

/** A year of five digits moves both marks, and an infinity has neither. */
function hasRfc3339Date(pgText: string): boolean {
  return pgText.charCodeAt(4) === HYPHEN && pgText.charCodeAt(10) === SPACE;
}

/**
 * One line, so that a row stays a line of JSON Lines; everything else, spaces and digits of numbers too, stays as it
 * is. PostgreSQL refuses a bare control character inside a JSON string, so every line break stands between tokens. Characters
 * that only some readers take for the end of a line stand inside strings, and are escaped.
 */
export function jsonToWire(pgText: string): string {
  const oneLine = pgText.includes('\n') || pgText.includes('\r') ? pgText.replace(/[\r\n]/g, '') : pgText;
  return escapeLineSeparators(oneLine);
}
