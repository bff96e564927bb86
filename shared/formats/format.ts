import type { RowType } from '../domain/row-type.ts';

/** Bytes in order; the pieces may be cut anywhere. */
export type Bytes = AsyncIterable<Buffer>;

/** What a format may use beside its input. */
export interface EncodeContext {
  /** Ends work under way with the signal's reason. */
  readonly signal: AbortSignal;
  /** A path on the local disk where no file is yet. The caller that gave the context removes what is left there. */
  scratchPath(name: string): Promise<string>;
}

/** A file in the making. */
export interface EncodedFile {
  /** To be read once, to its end or its failure. */
  readonly bytes: Bytes;
  /** Rows in the file by the format's own count; right once the bytes were read to their end. */
  rowCount(): number;
  /** Columns that a typed format had to write as text, because a value in them has no place in their type. */
  columnsAsText(): readonly string[];
  /** Of the format `digest`: the sum of the records' digests, right once the bytes were read to their end. */
  digest?(): string;
}

/**
 * How the rows of one resource become a file. One file per format, behind the contract suite `describeFormat`.
 *
 * A format streams: it holds a bounded piece of its input, or keeps what it needs on the local disk. The same
 * lines give the same bytes, however they are cut into pieces.
 */
export interface Format {
  /** What follows the resource's name in the file's, with its dot. */
  readonly suffix: string;
  /** `lines` are rows of `rowType` as `stagingOf` says, each with a line feed. No lines still make a valid file. */
  encode(lines: Bytes, rowType: RowType, context: EncodeContext): EncodedFile;
}

/** What is done to a file's bytes afterwards. The same promise: streaming, and the same bytes for the same bytes. */
export interface Compression {
  /** What is put after the format's suffix; empty for none. */
  readonly suffix: string;
  compress(bytes: Bytes, context: EncodeContext): Bytes;
}

/**
 * What a part's lines are. `json`: each the row as JSON, which is what a JSON Lines file is made of. `texts`: each the row's
 * wire texts as a JSON array, in column order: a JSON null and SQL NULL differ in it, and no number has to be parsed.
 */
export type Staging = 'json' | 'texts';

/** How rows are staged for a format, by its name in a request. A name that is not known fails when the files are made. */
export function stagingOf(formatName: string | null): Staging {
  return formatName === 'csv' || formatName === 'parquet' ? 'texts' : 'json';
}
