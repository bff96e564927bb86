import type { RowShape } from '../../../shared/domain/row-shape.ts';
import { manifestPath } from '../../../shared/storage/export-paths.ts';
import type { Storage } from '../../../shared/storage/storage.ts';
import { chooseFormat } from '../formats/choose-format.ts';
import { partsFolder } from '../parts-folder.ts';
import type { ClaimedAssembly } from '../store/claim-assembly.ts';
import type { ExportFile } from '../store/complete-export.ts';
import type { ResourceParts } from '../store/list-parts.ts';
import { manifestText } from './manifest.ts';
import { writeExportFile } from './write-export-file.ts';

export interface AssembleDeps {
  readonly storage: Storage;
  readonly listParts: (exportId: string) => Promise<ReadonlyMap<string, ResourceParts>>;
  /** The shape of a resource's rows by their schema, or by the newest one when there are no rows. */
  readonly shapeOf: (resource: string, schemaId: number | undefined) => Promise<RowShape>;
}

/**
 * Writes an export's files and then its manifest, all of them durable when this returns. A crash before leaves files
 * that nobody was promised; whoever claims the export next writes them again, byte for byte.
 *
 * @throws UnknownOutputError, and what `writeExportFile` throws
 */
export async function assembleExport(
  claim: ClaimedAssembly,
  { storage, listParts, shapeOf }: AssembleDeps,
  signal: AbortSignal,
): Promise<ExportFile[]> {
  const { exportId, resources } = claim;
  const output = chooseFormat(claim.request);
  const partsByResource = await listParts(exportId);
  await markAssembly(storage, exportId);
  const files: ExportFile[] = [];
  const shapes = new Map<string, RowShape>();
  for (const resource of resources) {
    const parts = partsByResource.get(resource) ?? withoutRows(resource);
    const shape = await shapeOf(resource, parts.schemaIds[0]);
    shapes.set(resource, shape);
    files.push(await writeExportFile(storage, exportId, parts, shape, output, signal));
  }
  await writeText(storage, manifestPath(exportId), manifestText(claim, output, files, shapes));
  return files;
}

/**
 * An export without rows has no parts; yet should it end otherwise than published, its half-written files are to be
 * found. They are looked for where there is a parts folder.
 */
function markAssembly(storage: Storage, exportId: string): Promise<void> {
  return writeText(storage, `${partsFolder(exportId)}/assembly`, '');
}

async function writeText(storage: Storage, path: string, text: string): Promise<void> {
  const file = await storage.openWriter(path);
  try {
    await file.append(text);
    await file.commit();
  } catch (error) {
    await file.abort();
    throw error;
  }
}

function withoutRows(resource: string): ResourceParts {
  return { resource, rowsPlanned: 0, rowsExtracted: 0, rowsWritten: 0, parts: [], schemaIds: [] };
}
