import { createHash } from 'node:crypto';
import type { ResourceFileFacts, ResourceParts } from '../../../shared/control/exports/assembly.ts';
import type { DeletedKeys } from '../../../shared/control/exports/changed-keys.ts';
import type { RowType } from '../../../shared/domain/row-type.ts';
import type { Output } from '../../../shared/formats/choose-format.ts';
import { type Bytes, type EncodeContext, type Staging, stagingOf } from '../../../shared/formats/format.ts';
import type { AvroSchemaJson } from '../../../shared/kafka/registry.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import { rowsSubject } from '../../../shared/protocol/names.ts';
import type { Storage } from '../../../shared/storage/storage.ts';
import { createRowJson } from '../../../shared/values/json-text.ts';
import { createPublicShape } from '../../../shared/values/public-shape.ts';
import { readRowSchema } from '../../../shared/values/row-schema.ts';

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

/**
 * Rows staged as texts in column order came with more than one schema, so their columns are ambiguous; or rows have other fields
 * than others, because the catalog changed while they were read.
 */
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
  rowType: RowType,
  { format, formatName, compression }: Output,
  context: EncodeContext,
): ResourceFile {
  const { resource, rowsPlanned, rowsExtracted, rowsWritten } = parts;
  const name = `${title}${format.suffix}${compression.suffix}`;
  const hash = createHash('sha256');
  let byteCount = 0;
  const encoded = format.encode(lines, rowType, context);

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
      ...(encoded.digest === undefined ? {} : { digest: encoded.digest() }),
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
    if (path === null) continue;
    for await (const piece of await storage.openRead(path)) {
      signal.throwIfAborted();
      yield piece as Buffer;
    }
  }
}

/**
 * Record keys as staged lines, as if they were rows of `rowType`, which has the key columns in column order. `keyColumns` has
 * their names in key order.
 *
 * @throws Error for a record key with other columns; the signal's reason once it aborts
 */
export async function* keyLines(
  keys: Pick<DeletedKeys, 'pages'>,
  keyColumns: readonly string[],
  rowType: RowType,
  staging: Staging,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const places = rowType.columns.map(({ name }) => keyColumns.indexOf(name));
  if (places.length !== keyColumns.length || places.includes(-1)) {
    throw new Error(`the key of ${rowType.resource} in the catalog is not that of its rows`);
  }
  const { toJson } = createRowJson(rowType);
  for await (const page of keys.pages()) {
    signal.throwIfAborted();
    const lines = page.map((recordKey) => {
      const key = JSON.parse(recordKey) as string[];
      if (key.length !== places.length)
        throw new Error(`a key of ${rowType.resource} has ${key.length} columns`);
      const texts = places.map((place) => key[place] ?? null);
      return `${staging === 'json' ? toJson(texts) : JSON.stringify(texts)}\n`;
    });
    yield Buffer.from(lines.join(''));
  }
}

interface SchemaSource {
  fetch(id: number): Promise<AvroSchemaJson>;
  latest(subject: string): Promise<AvroSchemaJson | undefined>;
}

/**
 * The row type of a resource's files in an export: from the schema of its rows, or without rows from the newest schema of their
 * topic. A table from which no row was ever read has no schema; its row type has no columns.
 */
export function createRowTypeSource(registry: SchemaSource, topics: Topics) {
  return async (resource: string, schemaId: number | undefined): Promise<RowType> => {
    const schema =
      schemaId === undefined
        ? await registry.latest(rowsSubject(topics.rows(resource)))
        : await registry.fetch(schemaId);
    return schema === undefined
      ? { resource, columns: [] }
      : createPublicShape(readRowSchema(schema)).rowType;
  };
}
