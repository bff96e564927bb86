import { createHash } from 'node:crypto';
import type { RowShape } from '../../../shared/domain/row-shape.ts';
import { exportFilePath } from '../../../shared/storage/export-paths.ts';
import type { Storage } from '../../../shared/storage/storage.ts';
import type { Output } from '../formats/choose-format.ts';
import type { ExportFile } from '../store/complete-export.ts';
import type { ResourceParts } from '../store/list-parts.ts';
import { LineCounter } from './count-lines.ts';

/** The numbers that must be one: a difference anywhere fails the export rather than publish a file that lacks rows. */
export class RowCountMismatchError extends Error {
  override readonly name = 'RowCountMismatchError';
  readonly resource: string;

  constructor({ resource, rowsPlanned, rowsExtracted, rowsWritten }: ResourceParts, lines: number) {
    super(
      `${resource}: ${rowsPlanned} rows in the snapshot, ${rowsExtracted} acknowledged, ` +
        `${rowsWritten} written, ${lines} in the file`,
    );
    this.resource = resource;
  }
}

/**
 * Concatenates the parts of one resource, in order of chunk and so of key, into its file. The file is durable when
 * this returns. Writing it again gives the same bytes, so a second writer that redoes the work does no harm.
 *
 * @throws RowCountMismatchError before the file is put in its place; StorageFullError; StorageNotFoundError when a
 *   part is gone; the signal's reason once it aborts
 */
export async function writeExportFile(
  storage: Storage,
  exportId: string,
  parts: ResourceParts,
  shape: RowShape,
  { format, compression }: Output,
  signal: AbortSignal,
): Promise<ExportFile> {
  const name = `${parts.resource}${format.suffix}${compression.suffix}`;
  const path = exportFilePath(exportId, name);
  const counter = new LineCounter();
  const hash = createHash('sha256');
  const file = await storage.openWriter(path);
  try {
    const lines = counter.count(readParts(storage, parts, signal));
    for await (const piece of compression.compress(format.encode(lines, shape))) {
      hash.update(piece);
      await file.append(piece);
    }
    const { rowsPlanned, rowsExtracted, rowsWritten } = parts;
    if (new Set([rowsPlanned, rowsExtracted, rowsWritten, counter.lines]).size > 1) {
      throw new RowCountMismatchError(parts, counter.lines);
    }
    await file.commit();
  } catch (error) {
    await file.abort();
    throw error;
  }
  return {
    name,
    resource: parts.resource,
    rows: counter.lines,
    bytes: file.bytes,
    sha256: hash.digest('hex'),
    path,
  };
}

async function* readParts(
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
