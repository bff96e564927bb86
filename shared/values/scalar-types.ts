import type { ValueType } from '../domain/row-type.ts';
import { escapeLineSeparators } from './json-text.ts';
import { UnreadableTextError } from './unreadable-text-error.ts';

// Scalar types: the Avro kind of each, and its wire text from PostgreSQL's.

/**
 * PostgreSQL's own types that have another kind than `string`, or another wire text than PostgreSQL's. Every other type is sent as
 * the text that PostgreSQL prints: numeric and the wide ranges of date and interval have no Avro or JSON type that holds all
 * of their values.
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

/** PostgreSQL and JavaScript print some float8 values differently (`1e+20`). The wire text has JavaScript's form. */
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
  // `Buffer.from` silently stops at the first character that is not hexadecimal.
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

/** Below it a float4 is subnormal, and its shortest text may have fewer than six digits of precision. */
const SMALLEST_NORMAL_FLOAT = 2 ** -126;
/** Enough to tell exactly halfway between two decimals of up to eight digits from nearly. */
const EXACT_DIGITS = 30;

/** The shortest text that reads back as the same float8. `-0`, `NaN`, `Infinity` and `-Infinity` are told apart. */
export function doubleText(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

/** The shortest text that reads back as the same float4: `0.1`, where the same number as a float8 has 17 digits. */
export function floatText(value: number): string {
  const whole = doubleText(value);
  // Six digits or fewer always survive a float4, so such a text is the shortest already.
  if (whole.length <= 7 || !Number.isFinite(value)) return whole;
  const size = Math.abs(value);
  const isPowerOfTwo = 2 ** Math.round(Math.log2(size)) === size;
  for (let digits = size < SMALLEST_NORMAL_FLOAT ? 1 : 6; digits < 9; digits += 1) {
    let shortest = Number(size.toPrecision(digits));
    if (isMidway(size, digits)) shortest = evenOf(shortest, size, digits);
    else if (isPowerOfTwo && !standsFor(shortest, size)) shortest = nextAbove(size, digits);
    if (standsFor(shortest, size)) return doubleText(value < 0 ? -shortest : shortest);
  }
  return doubleText(Number(value.toPrecision(9)));
}

/**
 * Whether the decimal is nearer to the float4 than to any other. Halfway to the next one is not enough, though it
 * would be rounded back: PostgreSQL does not rely on it either. Hence a step of a millionth further away.
 */
function standsFor(decimal: number, size: number): boolean {
  return Math.fround(decimal + (decimal - size) * 1e-6) === size;
}

/** Whether the float4 lies halfway between two decimals of this number of digits. */
function isMidway(size: number, digits: number): boolean {
  // Nearly every float4 has more digits than one more, and is done with here.
  return Number(size.toPrecision(digits + 1)) === size && /^50*$/.test(exactDigits(size).slice(digits));
}

/** Halfway between two decimals PostgreSQL takes the even one, where JavaScript takes the greater. */
function evenOf(above: number, size: number, digits: number): number {
  const whole = Number(exactDigits(size).slice(0, digits));
  const below = atScale(whole, size, digits);
  return whole % 2 === 0 && standsFor(below, size) ? below : above;
}

/**
 * At a power of two, floats are twice as far apart above as below, so that the nearest decimal may miss from below
 * while the next one, though farther, still reads back as the value.
 */
function nextAbove(size: number, digits: number): number {
  return atScale(Number(exactDigits(size).slice(0, digits)) + 1, size, digits);
}

function exactDigits(size: number): string {
  return size.toExponential(EXACT_DIGITS).replace('.', '').replace(/e.*/, '');
}

/** The digits as a number of the float4's own magnitude. */
function atScale(whole: number, size: number, digits: number): number {
  const exponent = Number(size.toExponential(EXACT_DIGITS).replace(/.*e/, ''));
  return Number(`${whole}e${exponent - digits + 1}`);
}
