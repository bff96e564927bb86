import type { Pool } from 'pg';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import { type Catalog, type Resource, withAncestors } from '../../../shared/domain/catalog.ts';
import type { ChunkPlan } from '../plan/plan-chunks.ts';
import type { RowSelection } from '../plan/row-selection.ts';
import type { FactsByResource } from '../plan/table-forms.ts';
import type { SourceSession } from '../source/source-session.ts';
import { awaitChainRecorded, awaitRecorded, keptAlive, type RecordingDeps } from './await-recorded.ts';
import { assertNoReset, assignKeys, collectKeys, readKeyPage } from './changed-keys.ts';
import { assertNotSetAside, assertSameCatalog, assertSameRoutes, assertSameTables } from './completeness.ts';
import type { BaseExport } from './find-base.ts';
import { type KeyColumn, parseRecordKey, presentKeysQuery, readKeyColumns } from './keyed-queries.ts';

/** Limit of keys per chunk. A reader passes them as one parameter, so this bounds its memory. */
const MAX_KEYS_PER_CHUNK = 5_000;

/** The changes between an earlier export's snapshot and the held one. */
export interface ChangesSince {
  plan(selection: RowSelection, rowsPerChunk: number): AsyncGenerator<ChunkPlan>;
}

export interface ChangesSinceDeps extends RecordingDeps {
  readonly control: Pool;
  readonly holder: SourceSession;
  readonly catalog: Catalog;
  readonly resources: readonly Resource[];
  /** Of the tables, including those of parents, under the held snapshot. */
  readonly facts: FactsByResource;
  /** Of the held snapshot, `xmin:xmax:xip,…`. */
  readonly snapshot: string;
}

/**
 * Finds the changed records by their events: those that the held snapshot sees and the earlier one does not. Call it once the
 * feed has passed the held snapshot's seal. The changes are in the topic then, and in the event log once the recorder has read
 * that far.
 *
 * @throws ExportFailedError when recording stands still or events are missing
 */
export async function openChangesSince(
  claim: ClaimedExport,
  base: BaseExport,
  deps: ChangesSinceDeps,
): Promise<ChangesSince> {
  const { control, holder, snapshot, resources, facts } = deps;
  await awaitRecorded(deps);
  await awaitChainRecorded(control, claim, deps);
  await assertNoReset(control, claim, base, snapshot);
  await assertNotSetAside(control, claim, base.startLsn);
  await assertSameCatalog(control, claim, resources, base.startLsn);
  await assertSameRoutes(control, deps.catalog, base, resources);
  // The account of a child depends on its parents' rows.
  await assertSameTables(holder, base, withAncestors(resources), facts);
  return {
    async *plan(selection, rowsPerChunk) {
      const { name } = selection.resource;
      const columns = await readKeyColumns(holder, selection.resource);
      await keptAlive(collectKeys(control, claim, base, snapshot, name, columns), deps);
      const keys = {
        page: (fromPlace: number, limit: number) => readKeyPage(control, claim, name, fromPlace, limit),
        assign: (chunk: number, places: readonly number[]) => assignKeys(control, claim, name, chunk, places),
      };
      yield* planChangedKeys(holder, selection, columns, keys, Math.min(rowsPerChunk, MAX_KEYS_PER_CHUNK));
    },
  };
}

/** The run's keys of one resource. */
export interface ChangedKeys {
  page(fromPlace: number, limit: number): Promise<string[]>;
  assign(chunk: number, places: readonly number[]): Promise<void>;
}

/**
 * Looks up the changed keys under the snapshot and cuts the ones found into chunks. Keys in no chunk belong to deleted records. A
 * chunk's keys are assigned before the chunk is returned.
 */
async function* planChangedKeys(
  session: SourceSession,
  selection: RowSelection,
  columns: readonly KeyColumn[],
  keys: ChangedKeys,
  keysPerChunk: number,
): AsyncGenerator<ChunkPlan> {
  let chunk = 0;
  for (let fromPlace = 0; ; fromPlace += keysPerChunk) {
    const page = await keys.page(fromPlace, keysPerChunk);
    if (page.length === 0) return;
    const { text, values } = presentKeysQuery(
      selection,
      columns,
      page.map((key) => parseRecordKey(key, columns.length)),
    );
    const { rows } = await session.query(text, values);
    if (rows.length > 0) {
      const places = rows.map(({ place }) => fromPlace + Number(place) - 1);
      await keys.assign(chunk, places);
      yield { chunk, lowerKey: null, upperKey: null, rows: places.length };
      chunk += 1;
    }
    if (page.length < keysPerChunk) return;
  }
}
