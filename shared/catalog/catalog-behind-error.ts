/**
 * A table lacks columns that a catalog with fields needs: they were renamed, and the process with the adapted catalog is about to
 * start. A process that gets it waits a while before giving up.
 */
export class CatalogBehindError extends Error {
  override readonly name = 'CatalogBehindError';
  readonly resource: string;

  constructor(resource: string) {
    super(`the table of ${resource} lacks a column that the catalog names`);
    this.resource = resource;
  }
}
