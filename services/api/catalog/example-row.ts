import type { PublicField } from '../../../shared/domain/public-field.ts';
import type { Column, RowType } from '../../../shared/domain/row-type.ts';
import { createRowJson, toWireTexts } from '../../../shared/values/json-text.ts';
import type { PublicShape } from '../../../shared/values/public-shape.ts';
import { bareName } from './field-types.ts';

/** Example values as PostgreSQL prints them, so that they are converted to JSON like a table's values. */
const TEXTS: Readonly<Record<string, string>> = {
  bool: 't',
  int2: '7',
  int4: '42',
  int8: '1001',
  oid: '1001',
  float4: '1.5',
  float8: '1.5',
  money: '$12.50',
  text: 'text',
  varchar: 'text',
  bpchar: 'text',
  char: 'a',
  name: 'text',
  uuid: '0193e3a6-0b71-7c52-9d3e-2f6a8b1c4d5e',
  bytea: '\\x74657874',
  date: '2026-01-31',
  timestamp: '2026-01-31 09:30:00.123456',
  timestamptz: '2026-01-31 09:30:00.123456+00',
  time: '09:30:00',
  timetz: '09:30:00+00',
  interval: '1 day 02:00:00',
  json: '{"name": "value"}',
  jsonb: '{"name": "value"}',
  inet: '192.0.2.1',
  cidr: '192.0.2.0/24',
  macaddr: '08:00:2b:01:02:03',
  xml: '<a/>',
  varbit: '101',
  int4range: '[1,10)',
  int8range: '[1,10)',
  numrange: '[1.5,2.5)',
  daterange: '[2026-01-01,2026-02-01)',
  tsvector: "'text':1",
  point: '(1,2)',
};

/** Facts about a column for its example, besides its type. */
export interface ColumnHints {
  /** Labels of an enum; null for other types. */
  readonly labels: readonly string[] | null;
  readonly maxLength: number | null;
}

/**
 * An example row built from the types of its columns, in the form of files and events. Columns without an example are
 * null.
 */
export function exampleRow(
  rowType: RowType,
  shape: PublicShape,
  hintsOf: (column: string) => ColumnHints,
  nulls: ReadonlySet<string>,
): Record<string, unknown> {
  const texts = rowType.columns.map((column) =>
    nulls.has(column.name) ? null : exampleText(column.type.pgName, hintsOf(column.name)),
  );
  const shown = shape.apply(toWireTexts(rowType, texts)).map((text, index) => {
    const field = rowType.fields?.[index];
    return field === undefined ? text : madeExample(field, text);
  });
  return JSON.parse(createRowJson(shape.rowType).toJson(shown)) as Record<string, unknown>;
}

/** The example of a field that a map or a path derives from a column. */
function madeExample(field: PublicField, text: string | null): string | null {
  if ('map' in field) return String(Object.values(field.map)[0]);
  if ('path' in field) return field.type === 'json' ? '"text"' : 'text';
  return text;
}

/** Another value of the column, used as an earlier one; undefined where the type has only one example. */
export function exampleBefore({ type }: Column, value: unknown): unknown {
  if (type.kind === 'boolean') return value !== true;
  if (typeof value === 'number') return value - 1;
  return undefined;
}

function exampleText(pgName: string, hints: ColumnHints): string | null {
  if (pgName.endsWith('[]')) {
    const element = exampleText(pgName.slice(0, -2), hints);
    return element === null ? null : `{"${element.replace(/["\\]/g, '\\$&')}"}`;
  }
  if (hints.labels !== null) return hints.labels[0] ?? null;
  const name = bareName(pgName);
  if (name === 'numeric') return exampleNumeric(pgName);
  const text = TEXTS[name] ?? extensionText(name);
  if (text === null || hints.maxLength === null) return text;
  // PostgreSQL prints a char(n) with all its n characters.
  return (name === 'bpchar' ? text.padEnd(hints.maxLength) : text).slice(0, hints.maxLength);
}

/** An extension may be in any schema. */
function extensionText(name: string): string | null {
  if (name.endsWith('.citext')) return 'text';
  return name.endsWith('.hstore') ? '"name"=>"value"' : null;
}

/** With as many digits as the type has behind its point. */
function exampleNumeric(pgName: string): string {
  const declared = /^numeric\((\d+),(-?\d+)\)$/.exec(pgName);
  if (declared === null) return '12.50';
  const [precision, scale] = [Number(declared[1]), Number(declared[2])];
  const whole = precision - scale >= 2 ? '12' : precision - scale === 1 ? '1' : '0';
  return scale > 0 ? `${whole}.${'5'.padEnd(scale, '0')}` : whole;
}
