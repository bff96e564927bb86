import type { Column, RowShape } from '../domain/row-shape.ts';

/** How one column gets its type in DuckDB's SQL. `text` is the expression of the value's wire text there. */
export interface ParquetColumn {
  readonly name: string;
  /** The value in the column's type. It may fail, but never gives another value, for a text that does not fit. */
  readonly typed: (text: string) => string;
  /** Whether a text that is not null fits the type; null where every one does. */
  readonly fits: ((text: string) => string) | null;
}

type Mapping = Omit<ParquetColumn, 'name'>;

const MAX_DECIMAL_DIGITS = 38;

const cast = (type: string) => (text: string) => `CAST(${text} AS ${type})`;

/** For types whose cast refuses exactly what does not fit. */
function casting(type: string): Mapping {
  return { typed: cast(type), fits: (text) => `TRY_CAST(${text} AS ${type}) IS NOT NULL` };
}

/** For types whose cast takes more than Parquet can say: infinities above all, which would become a far date. */
function guarded(type: string, fits: (text: string) => string): Mapping {
  const typed = (text: string) =>
    `CASE WHEN ${text} IS NULL OR ${fits(text)} THEN ${cast(type)(text)} ELSE error('the value has no place in ${type}') END`;
  return { typed, fits };
}

const TEXT: Mapping = { typed: (text) => text, fits: null };

/**
 * Years 1 to 9999 are all that RFC 3339 can say, and these wire texts have its form then only. Further ones and the
 * infinities have no place in most readers' types either.
 */
const hasRfc3339Form = (text: string) => `substr(${text}, 11, 1) = 'T'`;
const isPlainDate = (text: string) => `length(${text}) = 10`;

const STRINGS: ReadonlyMap<string, Mapping> = new Map([
  ['date', guarded('DATE', isPlainDate)],
  ['timestamp', guarded('TIMESTAMP', hasRfc3339Form)],
  ['timestamptz', guarded('TIMESTAMPTZ', hasRfc3339Form)],
]);

const KINDS: Record<Exclude<Column['type']['kind'], 'string'>, Mapping> = {
  int: { typed: cast('INTEGER'), fits: null },
  long: { typed: cast('BIGINT'), fits: null },
  float: { typed: cast('FLOAT'), fits: null },
  double: { typed: cast('DOUBLE'), fits: null },
  boolean: { typed: cast('BOOLEAN'), fits: null },
  bytes: { typed: (text) => `from_base64(${text})`, fits: null },
  // Keeps the text digit for digit. What it refuses is half of a surrogate pair, which PostgreSQL's json can hold.
  json: casting('JSON'),
};

/** The columns of a resource's Parquet file; those named in `asText` hold their wire text instead of a typed value. */
export function parquetColumns({ columns }: RowShape, asText: ReadonlySet<string>): ParquetColumn[] {
  return columns.map(({ name, type }) => {
    if (asText.has(name)) return { name, ...TEXT };
    if (type.kind !== 'string') return { name, ...KINDS[type.kind] };
    const decimal = decimalType(type.pgName);
    return { name, ...(decimal === undefined ? (STRINGS.get(type.pgName) ?? TEXT) : casting(decimal)) };
  });
}

/**
 * `numeric(10,4)` as `DECIMAL(10,4)`; undefined for other types and for more digits than Parquet's readers take. A
 * negative scale, which only says that the last digits are zero, becomes digits; a scale above the precision, zeros.
 */
export function decimalType(pgName: string): string | undefined {
  const [, precision, scale] = /^numeric\((\d+),(-?\d+)\)$/.exec(pgName)?.map(Number) ?? [];
  if (precision === undefined || scale === undefined) return undefined;
  const digits = scale < 0 ? precision - scale : Math.max(precision, scale);
  return digits <= MAX_DECIMAL_DIGITS ? `DECIMAL(${digits},${Math.max(scale, 0)})` : undefined;
}
