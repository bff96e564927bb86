// Where an export's files are in storage. The writer puts them there; the api serves and removes them.

/** Name of the file that lists the others. */
export const MANIFEST = 'manifest.json';

/** The published files. */
export function exportFolder(exportId: string): string {
  return `exports/${exportId}`;
}

export function exportFilePath(exportId: string, name: string): string {
  return `${exportFolder(exportId)}/${name}`;
}

export function manifestPath(exportId: string): string {
  return exportFilePath(exportId, MANIFEST);
}

/** Where parts are staged, one folder per export. */
export const PARTS_FOLDER = 'parts';

/** Everything staged for an export; removed as a whole when it ends. */
export function partsFolder(exportId: string): string {
  return `${PARTS_FOLDER}/${exportId}`;
}

/** An uploaded file of IDs and what a broken upload leaves beside it; removed as a whole. */
export function bulkFileFolder(fileId: string): string {
  return `bulk-files/${fileId}`;
}

export function bulkFilePath(fileId: string): string {
  return `${bulkFileFolder(fileId)}/ids`;
}
