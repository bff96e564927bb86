import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { invalid } from '../http/validate.ts';
import { changesSinceErrors, type ExportScope } from './changes-since.ts';
import { type Retention, startAfterExport } from './feed-start.ts';
import { findExport } from './store.ts';

const POINTER = '/changes_since';

/**
 * Makes sure that an export of changes can start from the earlier one: a feed could go on from it, and both have
 * the same scope.
 *
 * @throws AppError `not_found` for an export of another account or none, `conflict` for one that is not completed,
 *   `invalid` for one that is too old or of another scope
 */
export async function requireDeltaBase(
  db: Queryable,
  accountId: string | null,
  exportId: string,
  wanted: ExportScope,
  retention: Retention,
): Promise<void> {
  if (accountId === null) {
    const detail = 'is for one account only: Tandem does not record changes of unknown accounts';
    throw invalid([{ pointer: POINTER, detail }]);
  }
  await startAfterExport(db, accountId, exportId, POINTER, retention);
  const base = await findExport(db, accountId, exportId);
  const errors = base === undefined ? [] : changesSinceErrors(base, wanted);
  if (errors.length > 0) throw invalid(errors);
}
