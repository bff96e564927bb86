import type { Pool } from 'pg';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import { CatalogMismatchError } from '../extraction-errors.ts';
import type { FormsByResource } from '../plan/table-forms.ts';

const FIND_OTHER = `
select c.resource from unnest($2::text[], $3::text[]) as w (resource, columns)
join feed_catalog c on c.resource = w.resource
join exports e on e.id = $1
where c.columns <> w.columns and c.columns_since <= e.sealed_lsn
order by c.resource limit 1`;

/**
 * Checks that capture used the export's columns and fields at the seal. Subscribers skip what the export's snapshot
 * sees, including the reset after a change of fields. So an export with the fields from before that reset would leave
 * old values without notice. A change that capture makes after the seal is announced after the snapshot. Call this once
 * the seal is mirrored.
 *
 * @param forms the tables' forms under the snapshot, by this process's catalog
 * @throws CatalogMismatchError when capture wrote a resource with other columns or fields at the seal
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
