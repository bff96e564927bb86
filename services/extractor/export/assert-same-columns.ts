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

/** Whether the control store has what capture said with the export's seal. */
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
 * A subscriber of the feed passes over what the export's snapshot sees, also the reset that tells it of other fields. So an export
 * with the fields from before it would leave old values that nobody is told of. A form that capture has taken up behind the seal
 * was told behind the snapshot. To be called once the seal is mirrored.
 *
 * @param forms what the tables are like under the snapshot, by the catalog of this process
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
 * Waits for what capture said with the export's seal, which has arrived, and compares.
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
