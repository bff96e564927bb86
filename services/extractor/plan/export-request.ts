import {
  type ExportRequest,
  parseExportRequest,
  UnreadableRequestError,
} from '../../../shared/control/exports/export-request.ts';
import { type Catalog, findResource, type Resource } from '../../../shared/domain/catalog.ts';
import { ExportFailedError } from '../extraction-errors.ts';

/** @throws ExportFailedError when this version can't read the request */
export function readRequest(stored: unknown): ExportRequest {
  try {
    return parseExportRequest(stored);
  } catch (cause) {
    if (!(cause instanceof UnreadableRequestError)) throw cause;
    throw new ExportFailedError('invalid_request', 'This version cannot read the stored request.', { cause });
  }
}

/** @throws ExportFailedError for a resource that has left the catalog since the export was asked for */
export function resourceOf(catalog: Catalog, name: string): Resource {
  const resource = findResource(catalog, name);
  if (resource === undefined) {
    throw new ExportFailedError(
      'invalid_request',
      `The resource ${name} is not in the catalog: restore it, or create an export without it.`,
    );
  }
  return resource;
}
