import { createHash } from 'node:crypto';
import type { ResourceParts } from '../../../shared/control/chunks/list-parts.ts';
import type { ResourceFileFacts } from '../../../shared/control/exports/complete-export.ts';
import type { RowShape } from '../../../shared/domain/row-shape.ts';
import type { Output } from '../../../shared/formats/choose-format.ts';
import { type Bytes, type EncodeContext, stagingOf } from '../../../shared/formats/format.ts';
import type { Storage } from '../../../shared/storage/storage.ts';

/** The row counts of an export must all agree; a difference fails the export, so that no file lacks rows. */
export class RowCountMismatchError extends Error {
  override readonly name = 'RowCountMismatchError';
  readonly resource: string;

  constructor({ resource, rowsPlanned, rowsExtracted, rowsWritten }: ResourceParts, rowsInFile: number) {
    super(
      `${resource}: ${rowsPlanned} rows in the snapshot, ${rowsExtracted} acknowledged, ` +
        `${rowsWritten} written, ${rowsInFile} in the file`,
    );
    this.resource = resource;
  }
}

/** Rows staged as texts in column order came with more than one schema, so their columns are ambiguous. */
export class MixedSchemasError extends Error {
  override readonly name = 'MixedSchemasError';
}

/** One resource's file, streamed from parts to storage or into an archive. */
export interface ResourceFile {
  readonly name: string;
  /**
   * The file's bytes, to be read once. Encoding the file again gives the same bytes.
   *
   * @throws RowCountMismatchError instead of the end; MixedSchemasError; StorageNotFoundError when a part is missing; errors
   *   of the format; the signal's reason once it aborts
   */
  readonly bytes: Bytes;
  /** Valid once all bytes have been read. */
  facts(): ResourceFileFacts;
  columnsAsText(): readonly string[];
}

/** Encodes lines into a file and checks their number against `parts`. `title` is the file's name without its suffix. */
export function createResourceFile(
  title: string,
  lines: Bytes,
  parts: ResourceParts,
  shape: RowShape,
  { format, formatName, compression }: Output,
  context: EncodeContext,
): ResourceFile {
  const { resource, rowsPlanned, rowsExtracted, rowsWritten } = parts;
  const name = `${title}${format.suffix}${compression.suffix}`;
  const hash = createHash('sha256');
  let byteCount = 0;
  const encoded = format.encode(lines, shape, context);

  async function* counted(): AsyncGenerator<Buffer> {
    if (stagingOf(formatName) === 'texts' && parts.schemaIds.length > 1) {
      throw new MixedSchemasError(`${resource} has rows of the schemas ${parts.schemaIds.join(', ')}`);
    }
    for await (const piece of compression.compress(encoded.bytes, context)) {
      hash.update(piece);
      byteCount += piece.length;
      yield piece;
    }
    const rowsInFile = encoded.rowCount();
    if (new Set([rowsPlanned, rowsExtracted, rowsWritten, rowsInFile]).size > 1) {
      throw new RowCountMismatchError(parts, rowsInFile);
    }
  }

  return {
    name,
    bytes: counted(),
    facts: () => ({
      name,
      resource,
      rows: encoded.rowCount(),
      bytes: byteCount,
      sha256: hash.copy().digest('hex'),
    }),
    columnsAsText: () => encoded.columnsAsText(),
  };
}

/** The lines of a resource's parts in chunk order, and so in key order. */
export async function* readParts(
  storage: Storage,
  { parts }: ResourceParts,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  for (const { path } of parts) {
    for await (const piece of await storage.openRead(path)) {
      signal.throwIfAborted();
      yield piece as Buffer;
    }
  }
}
