import { createHash } from 'node:crypto';
import type {
  ClaimedAssembly,
  ExportFile,
  ResourceFileFacts,
  ResourceParts,
} from '../../../shared/control/exports/assembly.ts';
import type { DeletedKeys } from '../../../shared/control/exports/changed-keys.ts';
import type { ChunkMerge } from '../../../shared/control/exports/chunk-merge.ts';
import { parseExportRequest } from '../../../shared/control/exports/export-request.ts';
import type { RowType } from '../../../shared/domain/row-type.ts';
import type { ChooseFormat, Output } from '../../../shared/formats/choose-format.ts';
import { type Bytes, type EncodeContext, stagingOf } from '../../../shared/formats/format.ts';
import { exportFilePath, manifestPath, partsFolder } from '../../../shared/protocol/storage-paths.ts';
import type { Storage } from '../../../shared/storage/storage.ts';
import { archiveManifestText, type DescribedResource, manifestText, selectColumns } from './manifest.ts';
import { inBlocks, mergeLines } from './merge-lines.ts';
import {
  createResourceFile,
  keyLines,
  MixedSchemasError,
  type ResourceFile,
  readParts,
} from './resource-file.ts';
import type { Scratch } from './scratch.ts';
import { type ZipMember, zip } from './zip.ts';

export interface AssembleDeps {
  readonly storage: Storage;
  readonly scratch: Pick<Scratch, 'open'>;
  readonly listParts: (exportId: string) => Promise<ReadonlyMap<string, ResourceParts>>;
  /** The row type of a resource, by the schema of its rows, or by the newest schema when there are no rows. */
  readonly rowTypeOf: (resource: string, schemaId: number | undefined) => Promise<RowType>;
  readonly chooseFormat: ChooseFormat;
  /** Key columns of a resource in key order; undefined when the catalog no longer has it. */
  readonly keyOf: (resource: string) => readonly string[] | undefined;
  /** Only for a changes-since export. */
  readonly deletedKeys: (resource: string) => DeletedKeys;
  /** Only for a chunked export. */
  readonly chunkMerge: (resource: string) => ChunkMerge;
}

const ARCHIVE_NAME = 'export.zip';
const ARCHIVE_MANIFEST_NAME = 'manifest.json';

/** One resource's file with its facts for the manifest. */
type Making = ResourceFile & { readonly resource: string; readonly rowType: RowType };

/**
 * Writes an export's files and then its manifest; all are durable when this returns. After a crash, the next attempt writes
 * the same files again, byte for byte.
 *
 * @throws UnreadableRequestError; UnknownOutputError; StorageFullError; what the bytes of a `ResourceFile` throw
 */
export async function assembleExport(
  claim: ClaimedAssembly,
  deps: AssembleDeps,
  signal: AbortSignal,
): Promise<ExportFile[]> {
  const { storage, scratch, listParts, rowTypeOf } = deps;
  const { exportId } = claim;
  const request = parseExportRequest(claim.request);
  const output = deps.chooseFormat(request);
  const partsByResource = await listParts(exportId);
  const hasParts = [...partsByResource.values()].some(({ parts }) => parts.some(({ path }) => path !== null));
  if (!hasParts) await markAssembly(storage, exportId);
  await using folder = scratch.open(exportId);
  const contextOf = (scratchName: string) => ({
    signal,
    scratchPath: (name: string) => folder.path(`${scratchName}-${name}`),
  });
  const works = claim.resources.map((resource) => {
    const parts = partsByResource.get(resource) ?? withoutRows(resource);
    return { resource, parts, bytes: parts.parts.reduce((sum, part) => sum + part.bytes, 0) };
  });
  const described = new Map<string, DescribedResource>();

  /** The files of one resource, one after another. Read each to its end before taking the next. */
  async function* makeFiles(resource: string, parts: ResourceParts): AsyncGenerator<Making> {
    const context = contextOf(resource);
    const wholeType = await commonRowType(parts, rowTypeOf);
    const rowType = selectColumns(wholeType, request.fields);
    const title = request.changes_since === null ? resource : `${resource}.changed`;
    const { lines, counts } = claim.isChunked
      ? await mergedLines(parts, { wholeType, rowType, output }, deps, signal)
      : { lines: readParts(storage, parts, signal), counts: parts };
    const file = createResourceFile(title, lines, counts, rowType, output, context);
    yield { ...file, resource, rowType };
    described.set(resource, { rowType, columnsAsText: file.columnsAsText() });
    if (request.changes_since !== null) yield await makeDeletedFile(parts, rowType, output, context, deps);
  }

  async function* makeAllFiles(): AsyncGenerator<Making> {
    for (const { resource, parts } of works) yield* makeFiles(resource, parts);
  }

  const files: ExportFile[] = [];
  if (output.isArchive) {
    const context = contextOf('.archive');
    files.push(await storeArchive(storage, exportId, makeAllFiles(), output, described, context));
  } else {
    const stored = await inStages(works, async ({ resource, parts }) => {
      const ofResource: ExportFile[] = [];
      for await (const file of makeFiles(resource, parts)) {
        const path = exportFilePath(exportId, file.name);
        await storeFile(storage, path, file.bytes);
        ofResource.push({ ...file.facts(), path });
      }
      return ofResource;
    });
    files.push(...stored.flat());
  }
  const inOrder = new Map(claim.resources.flatMap((name) => pairOf(name, described.get(name))));
  await storeText(storage, manifestPath(exportId), manifestText(claim, request, output, files, inOrder));
  return files;
}

/** @throws MixedSchemasError when the rows do not all have the same fields */
async function commonRowType(
  { resource, schemaIds }: ResourceParts,
  rowTypeOf: AssembleDeps['rowTypeOf'],
): Promise<RowType> {
  const [first, ...others] = schemaIds;
  const rowType = await rowTypeOf(resource, first);
  const namesOf = ({ columns }: RowType) => JSON.stringify(columns.map(({ name }) => name));
  for (const schemaId of others) {
    if (namesOf(await rowTypeOf(resource, schemaId)) === namesOf(rowType)) continue;
    throw new MixedSchemasError(
      `${resource} has rows with different fields, of the schemas ${schemaIds.join(', ')}`,
    );
  }
  return rowType;
}

/**
 * Replaces rows of the parts by the records that changed later.
 *
 * @returns the row counts that the file must have: those of the parts, plus created and minus deleted records
 */
async function mergedLines(
  parts: ResourceParts,
  { wholeType, rowType, output }: { wholeType: RowType; rowType: RowType; output: Output },
  { storage, keyOf, chunkMerge }: AssembleDeps,
  signal: AbortSignal,
): Promise<{ lines: Bytes; counts: ResourceParts }> {
  const { resource, rowsPlanned, rowsExtracted, rowsWritten } = parts;
  const merge = chunkMerge(resource);
  const { created, removed } = await merge.count();
  const lines = {
    rowType: wholeType,
    lineType: rowType,
    keyColumns: keyOf(resource) ?? [],
    staging: stagingOf(output.formatName),
  };
  const counts = {
    ...parts,
    rowsPlanned: rowsPlanned + created - removed,
    rowsExtracted: rowsExtracted + created - removed,
    rowsWritten: rowsWritten + created - removed,
  };
  return { lines: inBlocks(mergeLines(storage, parts, merge.records(), lines, signal)), counts };
}

/** The keys of deleted records, in the form of the format's rows. */
async function makeDeletedFile(
  changed: ResourceParts,
  rowType: RowType,
  output: Output,
  context: EncodeContext,
  { keyOf, deletedKeys }: AssembleDeps,
): Promise<Making> {
  const { resource, rowsPlanned } = changed;
  const keys = deletedKeys(resource);
  const { keyCount, deletedCount } = await keys.count();
  const parts: ResourceParts = {
    ...withoutRows(resource),
    rowsPlanned: keyCount - rowsPlanned,
    rowsExtracted: deletedCount,
    rowsWritten: deletedCount,
  };
  const keyRowType = { resource, columns: rowType.columns.filter(({ isKey }) => isKey) };
  const lines = keyLines(
    keys,
    keyOf(resource) ?? [],
    keyRowType,
    stagingOf(output.formatName),
    context.signal,
  );
  const file = createResourceFile(`${resource}.deleted`, lines, parts, keyRowType, output, context);
  return { ...file, resource, rowType: keyRowType };
}

/** The archive's last member is a manifest of the others. */
async function storeArchive(
  storage: Storage,
  exportId: string,
  files: AsyncIterable<Making>,
  output: Output,
  described: ReadonlyMap<string, DescribedResource>,
  context: EncodeContext,
): Promise<ExportFile> {
  const members: ResourceFileFacts[] = [];
  async function* zipMembers(): AsyncGenerator<ZipMember> {
    for await (const { name, bytes, facts } of files) {
      yield { name, bytes, isStored: output.isCompressed };
      members.push(facts());
    }
    const manifest = Buffer.from(archiveManifestText(output, members, described));
    yield { name: ARCHIVE_MANIFEST_NAME, bytes: single(manifest), isStored: false };
  }
  const path = exportFilePath(exportId, ARCHIVE_NAME);
  const hash = createHash('sha256');
  async function* hashed(): AsyncGenerator<Buffer> {
    for await (const piece of zip(zipMembers(), context)) {
      hash.update(piece);
      yield piece;
    }
  }
  const { bytes } = await storeFile(storage, path, hashed());
  const rows = members.reduce((sum, member) => sum + member.rows, 0);
  return { name: ARCHIVE_NAME, resource: null, rows, bytes, sha256: hash.digest('hex'), path, members };
}

function pairOf(name: string, found: DescribedResource | undefined): [string, DescribedResource][] {
  return found === undefined ? [] : [[name, found]];
}

async function* single(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/**
 * The sweeper starts from parts folders, and an export without rows has no parts. This marker lets it find the files of an
 * export that ends unpublished.
 */
function markAssembly(storage: Storage, exportId: string): Promise<void> {
  return storeText(storage, `${partsFolder(exportId)}/assembly`, '');
}

function withoutRows(resource: string): ResourceParts {
  return { resource, rowsPlanned: 0, rowsExtracted: 0, rowsWritten: 0, parts: [], schemaIds: [] };
}

/**
 * Streams bytes into storage. The file is durable under its path when this returns, and absent when it throws.
 *
 * @throws what the bytes throw; StorageFullError; StorageRefusedError
 */
async function storeFile(storage: Storage, path: string, bytes: Bytes): Promise<{ bytes: number }> {
  const file = await storage.openWriter(path);
  try {
    for await (const piece of bytes) {
      await file.append(piece);
    }
    await file.commit();
  } catch (error) {
    await file.abort();
    throw error;
  }
  return { bytes: file.bytes };
}

/** Stores a small text file. */
async function storeText(storage: Storage, path: string, text: string): Promise<void> {
  await storeFile(storage, path, single(Buffer.from(text)));
}

/** Below this size a file costs only its round trips to storage. */
const SMALL_BYTES = 1024 * 1024;

/** Enough for storage to be the bottleneck; each keeps a file open. */
const SMALL_AT_ONCE = 12;

/**
 * Runs small works concurrently and the others one at a time. Resolves with the results in the order of the works.
 *
 * @throws the first error, once no work runs any more
 */
export async function inStages<T extends { readonly bytes: number }, R>(
  works: readonly T[],
  run: (work: T) => Promise<R>,
): Promise<R[]> {
  const results = new Map<T, R>();
  const waiting = works.filter(({ bytes }) => bytes <= SMALL_BYTES);
  let hasFailed = false;
  const runSmall = async () => {
    for (let work = waiting.shift(); work !== undefined && !hasFailed; work = waiting.shift()) {
      try {
        results.set(work, await run(work));
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  const settled = await Promise.allSettled(Array.from({ length: SMALL_AT_ONCE }, runSmall));
  const failed = settled.find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
  for (const work of works) if (work.bytes > SMALL_BYTES) results.set(work, await run(work));
  return works.map((work) => results.get(work) as R);
}
