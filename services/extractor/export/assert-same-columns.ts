import type { Pool } from 'pg';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import { CatalogMismatchError } from '../extraction-errors.ts';
import type { FormsByResource } from '../plan/table-forms.ts';

/** A capture of an earlier version does not report its catalog. */
const FIND_OTHER = `
select w.resource from unnest($2::text[], $3::text[]) as w (resource, columns)
join exports e on e.id = $1
left join feed_catalog c on c.resource = w.resource
where (c.columns <> w.columns and c.columns_since <= e.sealed_lsn)
  or ((c.resource is null or c.since_lsn > e.sealed_lsn) and exists (select from feed_catalog))
order by w.resource limit 1`;

/**
 * Checks that capture knew the export's resources at the seal, and used its columns and fields. A capture that is still
 * to be restarted with a new resource writes nothing of it between the export and its restart. And subscribers skip what the export's snapshot
 * sees, including the reset after a change of fields. So an export with the fields from before that reset would leave
 * old values without notice. A change that capture makes after the seal is announced after the snapshot. Call this once
 * the seal is mirrored.
 *
 * @param forms the tables' forms under the snapshot, by this process's catalog
 * @throws CatalogMismatchError when capture did not write a resource at the seal, or with other columns or fields
 */
export async function assertSameColumns(
  control: Pool,
  { id }: ClaimedExport,
  forms: FormsByResource,
): Promise<void> {
  const { rows } = await control.query<{ resource: string }>({
    name: 'find_other_columns',
    text: FIND_OTHER,
    values: [id, Object.keys(forms), Object.values(forms).map(({ columns }) => columns)],
  });
  if (rows[0] !== undefined) throw new CatalogMismatchError(rows[0].resource);
}
