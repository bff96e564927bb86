import type { Pool } from 'pg';
import { catalogFingerprint } from '../../../shared/catalog/catalog-fingerprint.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import { type FactsByResource, type FormsByResource, isSameTable } from '../plan/table-forms.ts';
import type { SourceSession } from '../source/source-session.ts';

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
