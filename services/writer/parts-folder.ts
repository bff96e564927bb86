/** Where parts are staged, one folder per export. */
export const PARTS_FOLDER = 'parts';

/** Everything staged for an export; removed as a whole when it ends. */
export function partsFolder(exportId: string): string {
  return `${PARTS_FOLDER}/${exportId}`;
}
