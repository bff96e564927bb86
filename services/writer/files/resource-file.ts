import { createHash } from 'node:crypto';
import type { ResourceParts } from '../../../shared/control/chunks/list-parts.ts';
import type { ResourceFileFacts } from '../../../shared/control/exports/complete-export.ts';
import type { RowShape } from '../../../shared/domain/row-shape.ts';
import type { Output } from '../../../shared/formats/choose-format.ts';
import { type Bytes, type EncodeContext, stagingOf } from '../../../shared/formats/format.ts';
import type { Storage } from '../../../shared/storage/storage.ts';

/** The numbers that must be one: a difference anywhere fails the export rather than publish a file that lacks rows. */
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

/** Rows staged by their columns' order, of which there was more than one: nobody could say which text is which. */
export class MixedSchemasError extends Error {
  override readonly name = 'MixedSchemasError';
}

/** The rows of one resource on their way from parts to a file or an archive. */
export interface ResourceFile {
  readonly name: string;
  /**
   * The whole file, to be read once. Making it again gives the same bytes.
   *
   * @throws RowCountMismatchError in place of its end; MixedSchemasError; StorageNotFoundError when a part is gone; what
   *   the format throws; the signal's reason once it aborts
   */
  readonly bytes: Bytes;
  /** Right once the bytes were read to their end. */
  facts(): ResourceFileFacts;
  columnsAsText(): readonly string[];
}

/** Makes a file of lines, which are to be as many as `parts` says. `title` is the file's name without what the format adds. */
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

/** The lines of a resource's parts, in order of chunk and so of key. */
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
