import type { Resource } from '../../../shared/domain/catalog.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import { type FactsByResource, type FormsByResource, isSameTable } from '../plan/table-forms.ts';
import type { SourceSession } from '../source/source-session.ts';

/**
 * What the events tell is all that has changed only while the table is what it was: an ALTER TABLE changes rows without an event for
 * any of them, and so does a partition that goes. Capture tells of it a moment later; the catalogs tell it at once.
 *
 * @throws ExportFailedError when a table is another one than under the earlier snapshot, or it is not known what it was like
 */
export async function assertSameTables(
  session: SourceSession,
  base: { readonly exportId: string; readonly tableForms: FormsByResource },
  resources: readonly Resource[],
  facts: FactsByResource,
): Promise<void> {
  for (const resource of resources) {
    const before = base.tableForms[resource.name];
    if (before === undefined) {
      throw new ExportFailedError(
        'base_too_old',
        `The export ${base.exportId} does not have the form of the table of ${resource.name}: ` +
          'create an export without changes_since.',
      );
    }
    if (await isSameTable(session, before, resource, facts.get(resource.name))) continue;
    throw new ExportFailedError(
      'table_changed',
      `The table of ${resource.name} was altered since the export ${base.exportId}, which changed rows without an event: ` +
        'create an export without changes_since.',
    );
  }
}
