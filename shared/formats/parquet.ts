import { mkdir, rm } from 'node:fs/promises';
import type { Column, RowType } from '../domain/row-type.ts';
import { quoteIdent, quoteLiteral } from '../postgres/quote.ts';
import { DuckdbError, type DuckdbSession, openDuckdb } from './duckdb-session.ts';
import type { Format } from './format.ts';
import { readSpooled, spoolLines } from './spool.ts';

/** A resource whose columns nobody knows, as no row of its table was ever read. Parquet has no file without columns. */
export class NoColumnsError extends Error {
  override readonly name = 'NoColumnsError';
}

/** A group of rows is written at the earlier of these; DuckDB's default count, and what it needs to hold of long rows. */
const GROUP_ROWS = 122_880;
const GROUP_BYTES = 32 * 1024 * 1024;

/** DuckDB's reader of lines has buffers of twice the longest line it may meet, and makes several copies of a line. */
const MIN_LINE_LIMIT_BYTES = 8 * 1024 * 1024;
const COPIES_OF_LINE = 16;

/**
 * Parquet by DuckDB, from the staged texts: it casts each to its column's type, which for these texts is exact. Compressed
 * inside, with Zstandard.
 *
 * Where a value has no place in its column's type (an infinite date, NaN in a decimal), the whole column is text in that
 * file, the text that JSON has, rather than a wrong value or no file; the manifest names such columns. Names that
 * differ in case only are told apart by a number that DuckDB puts after the later one.
 *
 * One file at a time: what it may use of memory is then used once, and of the pool's four threads one.
 */
export function createParquet({ memoryMb }: { readonly memoryMb: number }): Format {
  const gate = createGate();
  return {
    suffix: '.parquet',
    encode(lines, rowType, context) {
      let rowCount = 0;
      let columnsAsText: readonly string[] = [];
      async function* file(): AsyncGenerator<Buffer> {
        if (rowType.columns.length === 0) {
          throw new NoColumnsError(`the columns of ${rowType.resource} are not known`);
        }
        const folder = await context.scratchPath('parquet');
        try {
          await mkdir(folder);
          const spool = `${folder}/rows.json`;
          const target = `${folder}/rows.parquet`;
          const longest = await spoolLines(lines, spool, context.signal);
          const written = await gate.pass(context.signal, () =>
            convert({ spool, target, longest, folder, memoryMb }, rowType, context.signal),
          );
          await rm(spool);
          yield* readSpooled(target, context.signal);
          ({ rowCount, columnsAsText } = written);
        } finally {
          await rm(folder, { recursive: true, force: true });
        }
      }
      return { bytes: file(), rowCount: () => rowCount, columnsAsText: () => columnsAsText };
    },
  };
}

interface Conversion {
  readonly spool: string;
  readonly target: string;
  /** Bytes of the longest line. */
  readonly longest: number;
  readonly folder: string;
  readonly memoryMb: number;
}

async function convert(
  { spool, target, longest, folder, memoryMb }: Conversion,
  rowType: RowType,
  signal: AbortSignal,
): Promise<{ rowCount: number; columnsAsText: readonly string[] }> {
  const lineLimit = Math.max(longest + 1, MIN_LINE_LIMIT_BYTES);
  const extraMb = Math.ceil(((lineLimit - MIN_LINE_LIMIT_BYTES) * COPIES_OF_LINE) / 1024 ** 2);
  using session = await openDuckdb(memoryMb + extraMb, `${folder}/spill`, signal);
  const rows =
    `read_json(${quoteLiteral(spool)}, format = 'newline_delimited', records = false, ` +
    `columns = {texts: 'VARCHAR[]'}, maximum_object_size = ${lineLimit})`;
  let asText: ReadonlySet<string> = new Set();
  try {
    await session.run(copySql(rows, target, rowType, asText));
  } catch (error) {
    if (!(error instanceof DuckdbError) || error.isOutOfMemory) throw error;
    // Values that do not fit are rare, and looking for them takes as long again: so it is done after the fact.
    asText = await findUnfitColumns(session, rows, rowType);
    if (asText.size === 0) throw error;
    await session.run(copySql(rows, target, rowType, asText));
  }
  const [counted] = await session.run(
    `SELECT CAST(num_rows AS VARCHAR) FROM parquet_file_metadata(${quoteLiteral(target)})`,
  );
  return { rowCount: Number(counted?.[0]), columnsAsText: [...asText] };
}

const textOf = (index: number): string => `texts[${index + 1}]`;

function copySql(rows: string, target: string, rowType: RowType, asText: ReadonlySet<string>): string {
  const columns = parquetColumns(rowType, asText).map(
    ({ name, typed }, index) => `${typed(textOf(index))} AS ${quoteIdent(name)}`,
  );
  return (
    `COPY (SELECT ${columns.join(', ')} FROM ${rows}) TO ${quoteLiteral(target)} (FORMAT parquet, ` +
    `COMPRESSION zstd, ROW_GROUP_SIZE ${GROUP_ROWS}, ROW_GROUP_SIZE_BYTES ${GROUP_BYTES})`
  );
}

async function findUnfitColumns(
  session: DuckdbSession,
  rows: string,
  rowType: RowType,
): Promise<ReadonlySet<string>> {
  const columns = parquetColumns(rowType, new Set());
  const checks = columns.map(({ fits }, index) => {
    const text = textOf(index);
    return fits === null ? 'FALSE' : `coalesce(bool_or(${text} IS NOT NULL AND NOT (${fits(text)})), FALSE)`;
  });
  const [found] = await session.run(`SELECT ${checks.join(', ')} FROM ${rows}`);
  return new Set(columns.filter((_column, index) => found?.[index] === true).map(({ name }) => name));
}

/** Lets one piece of work through at a time, in the order they came. */
export interface Gate {
  /** @throws what the work throws; the signal's reason when it aborts before it is this one's turn */
  pass<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
}

export function createGate(): Gate {
  let latest: Promise<void> = Promise.resolve();
  return {
    async pass(signal, work) {
      const before = latest;
      const { promise: left, resolve: leave } = Promise.withResolvers<void>();
      // Giving up early opens no way for the next one: it still waits for those before.
      latest = before.then(() => left);
      try {
        await orAborted(before, signal);
        return await work();
      } finally {
        leave();
      }
    },
  };
}

async function orAborted(turn: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([turn, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

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
function parquetColumns({ columns }: RowType, asText: ReadonlySet<string>): ParquetColumn[] {
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
