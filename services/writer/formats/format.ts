import type { RowShape } from '../../../shared/domain/row-shape.ts';

/** Bytes in order; the pieces may be cut anywhere. */
export type Bytes = AsyncIterable<Buffer>;

/**
 * How the rows of one resource become a file. One file per format, behind the contract suite `describeFormat`.
 *
 * A format streams: it holds a bounded piece of its input, or keeps what it needs on the local disk. The same
 * lines give the same bytes, however they are cut into pieces.
 */
export interface Format {
  /** What follows the resource's name in the file's, with its dot. */
  readonly suffix: string;
  /** `lines` are JSON objects of `shape`, each with a line feed. No lines still make a valid file. */
  encode(lines: Bytes, shape: RowShape): Bytes;
}

/** What is done to a file's bytes afterwards. The same promise: streaming, and the same bytes for the same bytes. */
export interface Compression {
  /** What is put after the format's suffix; empty for none. */
  readonly suffix: string;
  compress(bytes: Bytes): Bytes;
}
