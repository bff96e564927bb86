import type { Pool } from 'pg';
import { catalogFingerprint } from '../../../shared/catalog/catalog-fingerprint.ts';
import { pathsFingerprint } from '../../../shared/catalog/check-account-paths.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import { readRoutesSnapshot } from '../../../shared/control/route-generations.ts';
import { type Catalog, parentOf, type Resource } from '../../../shared/domain/catalog.ts';
import { parseSnapshot, seesAllOf } from '../../../shared/domain/snapshot.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import { type FactsByResource, type FormsByResource, isSameTable } from '../plan/table-forms.ts';
import type { SourceSession } from '../source/source-session.ts';

/**
 * Without a position (`$4`), everything since the cut or the start counts, whichever is earlier. `since_lsn` is the
 * first commit with that catalog, and a base or cut needs the events of later positions.
 */
const FIND_OTHER = `
select w.resource, c.fingerprint is not distinct from w.fingerprint as is_same_now
from unnest($2::text[], $3::text[]) as w (resource, fingerprint)
join exports e on e.id = $1
left join feed_catalog c on c.resource = w.resource
where c.fingerprint is distinct from w.fingerprint
  or c.since_lsn > coalesce($4::pg_lsn, least(e.cut_lsn, e.start_lsn)) + 1
order by is_same_now, w.resource limit 1`;

const IS_SAID = 'select exists (select from feed_catalog) as is_said';

/**
 * Events follow the catalog of capture. With a different `where` they lack other records than this process reads, and services
 * do not restart at the same time. The catalogs of capture up to the export's seal are known once `awaitChainRecorded` has
 * returned. A capture of an earlier version does not report its catalog.
 *
 * @param sinceLsn `X/Y`; null: since the export's cut
 * @throws ExportFailedError when capture has or had a different catalog entry for a resource of the export since then
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

/**
 * Without a position (`$3`), everything since the cut or the start counts, whichever is earlier. A commit at `until_lsn` is the
 * first one that has events again.
 */
const FIND_SET_ASIDE = `
select a.resource, a.since_at::text, a.until_lsn is null as is_lasting
from feed_set_aside a join exports e on e.id = $1
where a.resource = any($2) and a.since_lsn <= e.sealed_lsn
  and (a.until_lsn is null or a.until_lsn > coalesce($3::pg_lsn, least(e.cut_lsn, e.start_lsn)) + 1)
order by a.since_lsn desc limit 1`;

/**
 * Changes of a resource that is set aside have no events. A reset marks both ends of the span. A snapshot within the span, or one
 * that sees a later transaction but not the faulty one, needs the span itself. Spans up to the export's seal are known once
 * `awaitChainRecorded` has returned.
 *
 * @param sinceLsn `X/Y`; null: since the export's cut
 * @throws ExportFailedError when a resource of the export was set aside at any time since then
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
 * Capture skips changes of children that the snapshot at the start of its routes sees. So the events since a snapshot
 * are complete only if that snapshot sees everything the routes' snapshot does. Call it once the feed has passed the
 * export's seal.
 *
 * @param snapshot `xmin:xmax:xip,…`
 */
export async function areRoutesSince(
  control: Queryable,
  catalog: Catalog,
  snapshot: string,
  resources: readonly Resource[],
): Promise<boolean> {
  if (resources.every((resource) => parentOf(resource) === undefined)) return true;
  const begin = await readRoutesSnapshot(control, pathsFingerprint(catalog));
  return begin !== undefined && seesAllOf(parseSnapshot(snapshot), begin);
}

/** @throws ExportFailedError when the routes were read again since the base */
export async function assertSameRoutes(
  control: Pool,
  catalog: Catalog,
  base: { readonly exportId: string; readonly snapshot: string },
  resources: readonly Resource[],
): Promise<void> {
  if (await areRoutesSince(control, catalog, base.snapshot, resources)) return;
  const children = resources.filter((resource) => parentOf(resource) !== undefined);
  throw new ExportFailedError(
    'feed_reset',
    `The accounts of ${children.map(({ name }) => name).join(', ')} were read again from their parents since the export ` +
      `${base.exportId}: create an export without changes_since.`,
  );
}

/**
 * Events are complete only while the table keeps its form: an ALTER TABLE or a detached partition changes rows without events.
 * Capture announces that a moment later, so the forms under both snapshots are compared.
 *
 * @throws ExportFailedError when the form of a table differs from that under the earlier snapshot, or that is unknown
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
