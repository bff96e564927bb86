/** Where an export's published files are. They are put there by the writer and taken away by whoever expires or deletes it. */
export function exportFolder(exportId: string): string {
  return `exports/${exportId}`;
}

export function exportFilePath(exportId: string, name: string): string {
  return `${exportFolder(exportId)}/${name}`;
}

export function manifestPath(exportId: string): string {
  return exportFilePath(exportId, 'manifest.json');
}
