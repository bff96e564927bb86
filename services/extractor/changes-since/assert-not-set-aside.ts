import type { Pool } from 'pg';
import type { ClaimedExport } from '../../../shared/control/exports/claim-export.ts';
import { ExportFailedError } from '../extraction-errors.ts';

/** Without a position (`$3`) everything since the cut or the start counts, whichever is earlier. */
const FIND_SET_ASIDE = `
select a.resource, a.since_at::text, a.until_lsn is null as is_lasting
from feed_set_aside a join exports e on e.id = $1
where a.resource = any($2) and a.since_lsn <= e.sealed_lsn
  and (a.until_lsn is null or a.until_lsn > coalesce($3::pg_lsn, least(e.cut_lsn, e.start_lsn)))
order by a.since_lsn desc limit 1`;

/**
 * Changes that were passed over while their resource was set aside are in no event. A reset tells so at both ends, yet between
 * them, and under snapshots that see a later transaction and not the one at fault, only the span itself does.
 *
 * What is set aside is known up to the export's seal once `awaitChainRecorded` has returned.
 *
 * @param sinceLsn `X/Y`; null: since the export's cut
 * @throws ExportFailedError when a resource of the export was set aside at any moment since then
 */
export async function assertNotSetAside(
  control: Pool,
  { id, resources }: ClaimedExport,
  sinceLsn: string | null,
): Promise<void> {
  const { rows } = await control.query<{ resource: string; since_at: string; is_lasting: boolean }>(
    FIND_SET_ASIDE,
    [id, resources, sinceLsn],
  );
  const found = rows[0];
  if (found === undefined) return;
  throw new ExportFailedError(
    'feed_reset',
    found.is_lasting
      ? `The feed has skipped changes of ${found.resource} since ${found.since_at}, because a row or its table cannot be sent: ` +
          'create an export of its present state.'
      : `The feed skipped changes of ${found.resource} for some time since ${found.since_at}: ` +
          'create an export without changes_since, or use a later as_of.',
  );
}
