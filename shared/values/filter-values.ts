/**
 * Types whose values a row filter compares exactly as PostgreSQL does. `padded`: char(n), where trailing blanks do not count.
 * `label`: an enum. `local`: timestamp without time zone. `moment`: timestamp with time zone.
 */
export type FilterFamily =
  | 'boolean'
  | 'integer'
  | 'decimal'
  | 'text'
  | 'padded'
  | 'label'
  | 'uuid'
  | 'date'
  | 'local'
  | 'moment';

const FAMILIES: ReadonlyMap<string, FilterFamily> = new Map([
  ['bool', 'boolean'],
  ['int2', 'integer'],
  ['int4', 'integer'],
  ['int8', 'integer'],
  ['numeric', 'decimal'],
  ['text', 'text'],
  ['varchar', 'text'],
  ['bpchar', 'padded'],
  ['uuid', 'uuid'],
  ['date', 'date'],
  ['timestamp', 'local'],
  ['timestamptz', 'moment'],
]);

/**
 * By a `pgName` of `ValueType`. Of types outside of `pg_catalog` only enums can be compared, and `catalog check` lets no others through.
 *
 * @returns undefined for a type without filters
 */
export function filterFamily(pgName: string): FilterFamily | undefined {
  if (pgName.startsWith('numeric(')) return 'decimal';
  return FAMILIES.get(pgName) ?? (/^[^[\]]*\.[^[\]]*$/.test(pgName) ? 'label' : undefined);
}

/** Types whose order depends on a collation allow equality only. */
const ORDERED: ReadonlySet<FilterFamily> = new Set(['integer', 'decimal', 'date', 'local', 'moment']);

export function isOrdered(family: FilterFamily): boolean {
  return ORDERED.has(family);
}

/** The one notation of a filter's values. PostgreSQL also reads others. */
const LITERALS: Readonly<Record<FilterFamily, { readonly pattern?: RegExp; readonly mustBe: string }>> = {
  boolean: { pattern: /^(true|false)$/, mustBe: 'must be true or false' },
  integer: { pattern: /^-?\d{1,19}$/, mustBe: 'must be a whole number' },
  decimal: { pattern: /^(?=.{1,1000}$)-?\d+(\.\d+)?$/, mustBe: 'must be a number' },
  text: { mustBe: 'must be a string' },
  padded: { mustBe: 'must be a string' },
  label: { mustBe: 'must be a string' },
  uuid: { pattern: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, mustBe: 'must be a UUID' },
  date: { pattern: /^\d{4}-\d{2}-\d{2}$/, mustBe: 'must be a date such as 2026-01-31' },
  local: {
    pattern: /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?$/,
    mustBe: 'must be a date and time without a zone, such as 2026-01-31T09:30:00',
  },
  moment: {
    pattern: /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$/,
    mustBe: 'must be a timestamp with a zone, such as 2026-01-31T09:30:00Z',
  },
};

/** @returns the fault of a filter's value. PostgreSQL checks accepted values again */
export function literalFault(family: FilterFamily, text: string): string | undefined {
  const { pattern, mustBe } = LITERALS[family];
  // A lone surrogate is not a text.
  return (pattern?.test(text) ?? true) && text.isWellFormed() ? undefined : mustBe;
}

/** What two values of one family are compared by: alike exactly when PostgreSQL's `=` holds, and in its order. */
export type Comparable = string | bigint | Decimal;

/** `digits` times ten to the power of minus `scale`; `rank` puts -Infinity, all numbers, Infinity and NaN in order. */
interface Decimal {
  readonly rank: number;
  readonly digits: bigint;
  readonly scale: number;
}

/** From a filter's value, or from the text that PostgreSQL prints. @throws RangeError for a text that is not of the family */
export function comparable(family: FilterFamily, text: string): Comparable {
  switch (family) {
    case 'boolean':
      return text.slice(0, 1);
    case 'integer':
      return toBigInt(text);
    case 'decimal':
      return toDecimal(text);
    case 'padded':
      return text.replace(/ +$/, '');
    case 'uuid':
      return text.toLowerCase();
    case 'date':
    case 'local':
    case 'moment':
      return toMicros(text);
    case 'text':
    case 'label':
      return text;
  }
}

/** Negative, zero or positive, as PostgreSQL orders the two. */
export function compare(a: Comparable, b: Comparable): number {
  if (typeof a === 'object' && typeof b === 'object') return compareDecimals(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}

function toBigInt(text: string): bigint {
  if (!/^-?\d+$/.test(text)) throw new RangeError('not a whole number');
  return BigInt(text);
}

const DECIMAL_RANKS: ReadonlyMap<string, number> = new Map([
  ['-Infinity', -1],
  ['Infinity', 1],
  // Greater than every number, and equal to itself.
  ['NaN', 2],
]);

function toDecimal(text: string): Decimal {
  const rank = DECIMAL_RANKS.get(text);
  if (rank !== undefined) return { rank, digits: 0n, scale: 0 };
  const [whole = '', fraction = ''] = text.split('.');
  return { rank: 0, digits: toBigInt(whole + fraction), scale: fraction.length };
}

function compareDecimals(a: Decimal, b: Decimal): number {
  if (a.rank !== b.rank) return a.rank - b.rank;
  const scale = Math.max(a.scale, b.scale);
  const scaled = (one: Decimal) => one.digits * 10n ** BigInt(scale - one.scale);
  return compare(scaled(a), scaled(b));
}

const MOMENT =
  /^(\d{4,7})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?(?:Z|([+-])(\d{2})(?::?(\d{2}))?)?)?( BC)?$/;
/** Beyond every date that PostgreSQL has. */
const INFINITY_MICROS = 10n ** 24n;

/** Microseconds since 1970, of a date its first; in UTC, which is the zone of all sessions. */
function toMicros(text: string): bigint {
  if (text === 'infinity') return INFINITY_MICROS;
  if (text === '-infinity') return -INFINITY_MICROS;
  const match = MOMENT.exec(text);
  if (match === null) throw new RangeError('not a date or time');
  const [
    ,
    year,
    month,
    day,
    hour = '0',
    minute = '0',
    second = '0',
    fraction = '',
    sign,
    zoneHour,
    zoneMinute,
    era,
  ] = match;
  const astronomical = era === undefined ? Number(year) : 1 - Number(year);
  const days = daysBefore(astronomical, Number(month), Number(day));
  const zoneMinutes = (sign === '-' ? -1 : 1) * (Number(zoneHour ?? 0) * 60 + Number(zoneMinute ?? 0));
  const minutes = days * 1_440 + Number(hour) * 60 + Number(minute) - zoneMinutes;
  return (BigInt(minutes) * 60n + BigInt(second)) * 1_000_000n + BigInt(fraction.padEnd(6, '0'));
}

/** Days from 1970-01-01 to a date of the Gregorian calendar, also long before it began, as PostgreSQL counts. */
function daysBefore(year: number, month: number, day: number): number {
  // Years that begin in March end with the leap day.
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
