import type { Pool } from 'pg';
import { catalogFingerprint } from '../../../shared/catalog/catalog-fingerprint.ts';
import type { ClaimedExport } from '../../../shared/control/exports/claim-export.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import { ExportFailedError } from '../extraction-errors.ts';

/** Without a position (`$4`) everything since the cut or the start counts, whichever is earlier. */
const FIND_OTHER = `
select w.resource, c.fingerprint is not distinct from w.fingerprint as is_same_now
from unnest($2::text[], $3::text[]) as w (resource, fingerprint)
join exports e on e.id = $1
left join feed_catalog c on c.resource = w.resource
where c.fingerprint is distinct from w.fingerprint
  or c.since_lsn > coalesce($4::pg_lsn, least(e.cut_lsn, e.start_lsn))
order by is_same_now, w.resource limit 1`;

const IS_SAID = 'select exists (select from feed_catalog) as is_said';

/**
 * Events say what changed as the catalog of capture has it: with another `where` they leave out other records than this process
 * reads, and a restart of one service comes before that of the other. What capture said up to the export's seal is known once
 * `awaitChainRecorded` has returned. A capture of an earlier version says nothing.
 *
 * @param sinceLsn `X/Y`; null: since the export's cut
 * @throws ExportFailedError when capture has, or at any moment since then had, another entry for a resource of the export
 */
export async function assertSameCatalog(
  control: Pool,
  { id }: ClaimedExport,
  resources: readonly Resource[],
  sinceLsn: string | null,
): Promise<void> {
  const said = await control.query<{ is_said: boolean }>(IS_SAID);
  if (said.rows[0]?.is_said !== true) return;
  const { rows } = await control.query<{ resource: string; is_same_now: boolean }>(FIND_OTHER, [
    id,
    resources.map(({ name }) => name),
    resources.map(catalogFingerprint),
    sinceLsn,
  ]);
  const found = rows[0];
  if (found === undefined) return;
  if (found.is_same_now) {
    throw new ExportFailedError(
      'table_changed',
      `The catalog entry of ${found.resource} has changed since then: create an export of its present state.`,
    );
  }
  throw new ExportFailedError(
    'feed_mismatch',
    `Capture and extractor have different catalog entries of ${found.resource}: ` +
      'restart both with the same catalog, and create an export of the present state.',
  );
}
