import type { Resource } from '../../../shared/domain/catalog.ts';
import type { ExportRequest } from '../../../shared/domain/export-request.ts';
import { rangeField } from '../plan/row-selection.ts';

/**
 * Why an export can't be chunked; undefined when it can. Whether a changed record is in the export must follow from the
 * record itself, because no snapshot is held in which others could be looked up.
 */
export function whySingle(
  request: ExportRequest,
  resources: readonly Resource[],
  accountId: string | null,
): string | undefined {
  if (request.changes_since !== null) {
    return 'Exports with changes_since read only what changed, under one snapshot.';
  }
  if (accountId === null) return 'The events of an export of all accounts are not all recorded.';
  const isSelected = (resource: Resource) =>
    (!request.include_deleted && resource.softDelete !== undefined) ||
    rangeField(resource, request) !== undefined;
  if (request.include_related && resources.some(isSelected)) {
    return 'With include_related, references can only be followed under one snapshot, unless include_deleted is true and there is no date_range.';
  }
  return undefined;
}
