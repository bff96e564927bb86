import type { Pool } from 'pg';
import { type BulkTable, loadBulkTable } from '../../../shared/bulk/bulk-table.ts';
import { canBeNamed } from '../../../shared/bulk/item-ids.ts';
import { type BulkOperation, findOperation } from '../../../shared/bulk/operation.ts';
import type { FilterNode } from '../../../shared/domain/bulk-filter.ts';
import { type Catalog, findResource, type Resource } from '../../../shared/domain/catalog.ts';
import { invalid } from '../http/validate.ts';
import { checkFilter, readFilter } from './check-filter.ts';
import { checkParams } from './check-params.ts';
import type { BulkBody } from './request.ts';

/** A request whose parts all fit the catalog and the table. */
export interface CheckedRequest {
  readonly resource: Resource;
  readonly operation: BulkOperation;
  readonly table: BulkTable;
  readonly filter: FilterNode | undefined;
}

/** @throws AppError `invalid` with each part that does not fit */
export async function checkBulkRequest(
  body: BulkBody,
  catalog: Catalog,
  source: Pool,
  sourceId: string,
): Promise<CheckedRequest> {
  const resource = findResource(catalog, body.resource);
  if (resource === undefined) throw invalid([{ pointer: '/resource', detail: 'is not a resource' }]);
  const operation = findOperation(resource, body.operation);
  if (operation === undefined) {
    const names = Object.keys(resource.operations).join(', ') || 'none';
    const detail = `is not an operation of ${resource.name}; it has: ${names}`;
    throw invalid([{ pointer: '/operation', detail }]);
  }
  // Reports what needs no source first.
  const filter = body.filter === undefined ? undefined : readFilter(body.filter, body.all);
  const table = await loadBulkTable(source, resource);
  if (body.filter === undefined && !canBeNamed(table.key)) {
    const detail = `the key of ${resource.name} cannot be given as IDs; select the items with filter`;
    throw invalid([{ pointer: body.ids === undefined ? '/file_id' : '/ids', detail }]);
  }
  await checkParams(body.params, operation, table, source);
  if (filter !== undefined) await checkFilter(filter, table, source, sourceId);
  return { resource, operation, table, filter };
}
