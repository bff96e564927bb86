import type { Pool } from 'pg';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import { parentOf, type Resource } from '../../../shared/domain/catalog.ts';
import {
  awaitChainRecorded,
  awaitRecorded,
  keptAlive,
  type RecordingDeps,
} from '../changes-since/await-recorded.ts';
import { assertNotSetAside, assertSameCatalog } from '../changes-since/completeness.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { ChunkPlan } from '../plan/plan-chunks.ts';
import type { ResourceRows, ResourceRowsSource } from '../plan/resource-rows.ts';
import type { RowSelection } from '../plan/row-selection.ts';
import type { FactsByResource } from '../plan/table-forms.ts';
import type { SourceSession } from '../source/source-session.ts';
import { assertNoResetSince, assignAffected, readImagePage } from './affected-keys.ts';
import { createKeyTableSql, fillKeyTableSql, readTypedKey } from './as-of-queries.ts';
import { collectImages } from './collect-images.ts';
import { assertCovered, findCut } from './find-cut.ts';
import { planAsOf } from './plan-as-of.ts';
import { readImageConditions } from './select-image.ts';
import { assertUnchangedSince, readTime } from './table-history.ts';

/** The source at an as-of time. */
export interface AsOf {
  plan(selection: RowSelection, rowsPerChunk: number): AsyncGenerator<ChunkPlan>;
}

export interface AsOfDeps extends RecordingDeps {
  readonly control: Pool;
  readonly holder: SourceSession;
  readonly resourceRows: ResourceRowsSource;
  readonly resources: readonly Resource[];
  /** Of the tables, under the held snapshot. */
  readonly facts: FactsByResource;
  /** Of the held snapshot, `xmin:xmax:xip,…`. */
  readonly snapshot: string;
}

/**
 * @throws ExportFailedError for resources whose account comes from a parent's record, because the history of the
 * parent's table is not recorded for them
 */
export function requireOwnAccounts(resources: readonly Resource[]): void {
  const children = resources.filter((resource) => parentOf(resource) !== undefined);
  if (children.length === 0) return;
  throw new ExportFailedError(
    'invalid_request',
    `${children.map(({ name }) => name).join(', ')} have the account of another resource, ` +
      'so exports with as_of are not possible.',
  );
}

/** @throws ExportFailedError when the events do not cover the as-of time, or a table may have had another form then */
export async function assertPastKnown(
  control: Pool,
  claim: ClaimedExport,
  asOf: string,
  session: SourceSession,
  resources: readonly Resource[],
  facts: FactsByResource,
): Promise<void> {
  await assertCovered(control, claim, asOf);
  await assertUnchangedSince(control, session, resources, { seenAt: await readTime(session), facts }, asOf);
}

/**
 * Cuts the feed at the as-of time. Call it once everything up to the export's seal is recorded.
 *
 * @throws ExportFailedError when events since the cut may be missing
 */
export async function cutFeed(
  control: Pool,
  claim: ClaimedExport,
  asOf: string,
  resources: readonly Resource[],
): Promise<void> {
  await findCut(control, claim, asOf);
  await assertNoResetSince(control, claim);
  await assertNotSetAside(control, claim, null);
  await assertSameCatalog(control, claim, resources, null);
}

/** Sent to the source by one statement. */
const FILL_KEYS = 5_000;
const IMAGES_AT_ONCE = 500;

const keyTableOf = (index: number) => `tandem_as_of_${index}`;

/** Creates the key tables of the resources. Call it before the snapshot: the snapshot's transaction is read-only. */
export async function makeKeyTables(holder: SourceSession, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) await holder.query(createKeyTableSql(keyTableOf(index)));
}

/**
 * The state at an as-of time is the snapshot, except for records with a commit between the two. Events around the cut
 * hold those. Call it once the feed has passed the snapshot's seal.
 *
 * @throws ExportFailedError when the events do not cover the as-of time or do not determine a record
 */
export async function openAsOf(claim: ClaimedExport, asOf: string, deps: AsOfDeps): Promise<AsOf> {
  const { control, holder, snapshot, resourceRows, resources, facts } = deps;
  await assertPastKnown(control, claim, asOf, holder, resources, facts);
  await awaitRecorded(deps);
  await awaitChainRecorded(control, claim, deps);
  await cutFeed(control, claim, asOf, resources);
  return {
    async *plan(selection, rowsPerChunk) {
      const { resource } = selection;
      const { rowType, codec } = await resourceRows.of(
        `${claim.id}/${claim.runAttempt}`,
        resource,
        holder,
        resources,
      );
      const key = await readTypedKey(holder, resource);
      const keyCount = await keptAlive(collectImages(control, claim, snapshot, resource, codec.shape), deps);
      // Old events can expire during the read.
      await assertCovered(control, claim, asOf);
      const table = keyTableOf(resources.indexOf(resource));
      await fillKeyTable(claim, selection, { rowType, codec }, table, keyCount, deps);
      yield* planAsOf(holder, selection, key, table, rowsPerChunk, (chunk, keys) =>
        assignAffected(control, claim, resource.name, chunk, keys),
      );
    },
  };
}

async function fillKeyTable(
  claim: ClaimedExport,
  selection: RowSelection,
  { rowType, codec }: Pick<ResourceRows, 'rowType' | 'codec'>,
  table: string,
  keyCount: number,
  { control, holder, waitWhile }: AsOfDeps,
): Promise<void> {
  const { softDeletePlace, rangePlace, rangeValues, rangeType } = await readImageConditions(
    selection,
    rowType,
    codec.shape,
    holder,
  );
  const fill = fillKeyTableSql(table, rangeType);
  let gathered: { place: number; recordKey: string; isIn: boolean; value: string | null }[] = [];
  const send = async () => {
    await holder.query(fill, [
      gathered.map(({ place }) => place),
      gathered.map(({ isIn }) => isIn),
      gathered.map(({ recordKey }) => recordKey),
      gathered.map(({ value }) => value),
      ...rangeValues,
    ]);
    gathered = [];
  };
  for (let fromPlace = 0; fromPlace < keyCount; fromPlace += IMAGES_AT_ONCE) {
    const page = await readImagePage(control, claim, selection.resource.name, fromPlace, IMAGES_AT_ONCE);
    for (const { place, recordKey, image } of page) {
      const isDeleted = softDeletePlace >= 0 && (image?.[softDeletePlace] ?? null) !== null;
      const value = rangePlace < 0 ? null : (image?.[rangePlace] ?? null);
      gathered.push({ place, recordKey, isIn: image !== null && !isDeleted, value });
    }
    if (gathered.length >= FILL_KEYS) await send();
    await waitWhile(async () => false);
  }
  if (gathered.length > 0) await send();
  await holder.query(`analyze pg_temp.${table}`);
}
