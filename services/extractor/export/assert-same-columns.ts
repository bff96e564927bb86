import type { Pool } from 'pg';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import { CatalogMismatchError } from '../extraction-errors.ts';
import type { FormsByResource } from '../plan/table-forms.ts';
import type { FeedState } from '../store/feed-state.ts';
import type { FeedWatch } from './await-feed.ts';
import type { WaitWhile } from './run-parts.ts';

const IS_MIRRORED = `
select exists (
  select from feed_state f join exports e on e.id = $1 where f.passed_lsn > e.sealed_lsn) as is_mirrored`;

/** Whether the control store holds capture's state from the export's seal. */
async function isSealMirrored(control: Pool, { id }: ClaimedExport): Promise<boolean> {
  const { rows } = await control.query<{ is_mirrored: boolean }>(IS_MIRRORED, [id]);
  return rows[0]?.is_mirrored === true;
}

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
  const { rows } = await control.query<{ resource: string }>(FIND_OTHER, [
    id,
    Object.keys(forms),
    Object.values(forms).map(({ columns }) => columns),
  ]);
  if (rows[0] !== undefined) throw new CatalogMismatchError(rows[0].resource);
}

/**
 * Waits until capture's state from the export's seal, which has arrived, is in the control store, and compares.
 *
 * @throws CatalogMismatchError
 */
export async function awaitSameColumns(
  claim: ClaimedExport,
  forms: FormsByResource,
  {
    control,
    feed,
    readFeedState,
    waitWhile,
  }: {
    control: Pool;
    feed: FeedWatch;
    readFeedState: () => Promise<FeedState | undefined>;
    waitWhile: WaitWhile;
  },
): Promise<void> {
  await waitWhile(async () => {
    feed.check(await readFeedState());
    return !(await isSealMirrored(control, claim));
  });
  await assertSameColumns(control, claim, forms);
}
