import { type BulkOperation, findOperation } from '../../shared/bulk/operation.ts';
import { changedName } from '../../shared/bulk/public-params.ts';
import type { BulkRequest } from '../../shared/domain/bulk.ts';
import { type Catalog, findResource, type Resource } from '../../shared/domain/catalog.ts';
import { JobFailedError } from './job-failures.ts';

/**
 * The operation of a job by this process's catalog, which may be another than that of the API at the request.
 *
 * @throws JobFailedError when it is gone, or a name or value of the request no longer means what it did
 */
export function findJobOperation(
  catalog: Catalog,
  request: BulkRequest,
): { resource: Resource; operation: BulkOperation } {
  const resource = findResource(catalog, request.resource);
  const operation = resource && findOperation(resource, request.operation);
  if (resource === undefined || operation === undefined) {
    throw new JobFailedError('operation_gone', 'The catalog no longer has this operation.');
  }
  const changed = changedName(resource, operation, request);
  if (changed !== undefined) {
    throw new JobFailedError(
      'fields_changed',
      `The field ${JSON.stringify(changed)} or its values have changed since the request: send the remaining items again.`,
    );
  }
  return { resource, operation };
}
