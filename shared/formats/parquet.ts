import { mkdir, rm } from 'node:fs/promises';
import type { RowShape } from '../domain/row-shape.ts';
import { quoteIdent, quoteLiteral } from '../postgres/quote.ts';
import { DuckdbError, type DuckdbSession, openDuckdb } from './duckdb-session.ts';
import type { Format } from './format.ts';
import { createGate } from './gate.ts';
import { parquetColumns } from './parquet-columns.ts';
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
    encode(lines, shape, context) {
      let rowCount = 0;
      let columnsAsText: readonly string[] = [];
      async function* file(): AsyncGenerator<Buffer> {
        if (shape.columns.length === 0) {
          throw new NoColumnsError(`the columns of ${shape.resource} are not known`);
        }
        const folder = await context.scratchPath('parquet');
        try {
          await mkdir(folder);
          const spool = `${folder}/rows.json`;
          const target = `${folder}/rows.parquet`;
          const longest = await spoolLines(lines, spool, context.signal);
          const written = await gate.pass(context.signal, () =>
            convert({ spool, target, longest, folder, memoryMb }, shape, context.signal),
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
  shape: RowShape,
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
    await session.run(copySql(rows, target, shape, asText));
  } catch (error) {
    if (!(error instanceof DuckdbError) || error.isOutOfMemory) throw error;
    // Values that do not fit are rare, and looking for them takes as long again: so it is done after the fact.
    asText = await findUnfitColumns(session, rows, shape);
    if (asText.size === 0) throw error;
    await session.run(copySql(rows, target, shape, asText));
  }
  const [counted] = await session.run(
    `SELECT CAST(num_rows AS VARCHAR) FROM parquet_file_metadata(${quoteLiteral(target)})`,
  );
  return { rowCount: Number(counted?.[0]), columnsAsText: [...asText] };
}

const textOf = (index: number): string => `texts[${index + 1}]`;

function copySql(rows: string, target: string, shape: RowShape, asText: ReadonlySet<string>): string {
  const columns = parquetColumns(shape, asText).map(
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
  shape: RowShape,
): Promise<ReadonlySet<string>> {
  const columns = parquetColumns(shape, new Set());
  const checks = columns.map(({ fits }, index) => {
    const text = textOf(index);
    return fits === null ? 'FALSE' : `coalesce(bool_or(${text} IS NOT NULL AND NOT (${fits(text)})), FALSE)`;
  });
  const [found] = await session.run(`SELECT ${checks.join(', ')} FROM ${rows}`);
  return new Set(columns.filter((_column, index) => found?.[index] === true).map(({ name }) => name));
}
