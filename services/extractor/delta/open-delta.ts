import type { Pool } from 'pg';
import type { RecordedChanges } from '../../../shared/kafka/recorded-changes.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { ChunkPlan } from '../holder/plan-chunks.ts';
import type { ResourceRowsSource } from '../reader/resource-rows.ts';
import type { RowSelection } from '../row-selection.ts';
import type { SourceSession } from '../source-session.ts';
import type { ClaimedExport } from '../store/claim-export.ts';
import { assertSameColumns } from './assert-same-columns.ts';
import { assertNoReset, assignKeys, collectKeys, readKeyPage } from './delta-keys.ts';
import type { DeltaBase } from './find-base.ts';
import { readKeyColumns } from './key-columns.ts';
import { planDelta } from './plan-delta.ts';

/** A reader takes a chunk's keys as one parameter, so their number bounds its memory whatever the rows are like. */
const MAX_KEYS_PER_CHUNK = 5_000;

/** What has changed between an earlier export's snapshot and the one that is held now. */
export interface Delta {
  plan(selection: RowSelection, rowsPerChunk: number): AsyncGenerator<ChunkPlan>;
}

export interface DeltaDeps {
  readonly control: Pool;
  readonly recordedChanges: RecordedChanges;
  readonly holder: SourceSession;
  readonly resourceRows: ResourceRowsSource;
  /** Of the held snapshot, `xmin:xmax:xip,…`. */
  readonly snapshot: string;
  /** Recording that stands still for so long is not running. */
  readonly feedTimeoutMs: number;
  /** Waits while the condition holds, keeping the snapshot. */
  readonly waitWhile: (mustWait: () => Promise<boolean>) => Promise<void>;
}

/**
 * Which records have changed is what the recorded events say: those not in the earlier snapshot and in the present one.
 * Call it once the feed has passed the present snapshot's seal. The events of everything that the snapshot holds are in the
 * changes topic then, before its end; and once the recorder has come that far, they are in the event log.
 *
 * @throws ExportFailedError when recording stands still, or the events do not tell everything
 */
export async function openDelta(claim: ClaimedExport, base: DeltaBase, deps: DeltaDeps): Promise<Delta> {
  const { control, holder, snapshot, resourceRows } = deps;
  await awaitRecorded(deps);
  await assertNoReset(control, claim, base, snapshot);
  return {
    async *plan(selection, rowsPerChunk) {
      const { name } = selection.resource;
      const { schemaId } = await resourceRows.of(runOf(claim), selection.resource, holder);
      await assertSameColumns(control, base.exportId, name, schemaId);
      const columns = await readKeyColumns(holder, selection.resource);
      await keptAlive(collectKeys(control, claim, base, snapshot, name, columns), deps);
      const keys = {
        page: (fromPlace: number, limit: number) => readKeyPage(control, claim, name, fromPlace, limit),
        assign: (chunk: number, places: readonly number[]) => assignKeys(control, claim, name, chunk, places),
      };
      yield* planDelta(holder, selection, columns, keys, Math.min(rowsPerChunk, MAX_KEYS_PER_CHUNK));
    },
  };
}

const runOf = ({ id, runAttempt }: ClaimedExport) => `${id}/${runAttempt}`;

/** Sorting many keys takes longer than the server lets a session be idle that holds a snapshot. */
async function keptAlive<T>(work: Promise<T>, { waitWhile }: DeltaDeps): Promise<T> {
  let isUnderWay = true;
  const end = () => {
    isUnderWay = false;
  };
  work.then(end, end);
  await waitWhile(async () => isUnderWay);
  return work;
}

async function awaitRecorded({ recordedChanges, feedTimeoutMs, waitWhile }: DeltaDeps): Promise<void> {
  const end = await recordedChanges.end();
  let seen = '';
  let movedAtMs = Date.now();
  await waitWhile(async () => {
    const missing = (await recordedChanges.missing(end)).join();
    if (missing === '') return false;
    if (missing !== seen) {
      seen = missing;
      movedAtMs = Date.now();
    }
    const stoodMs = Date.now() - movedAtMs;
    if (stoodMs < feedTimeoutMs) return true;
    throw new ExportFailedError(
      'feed_not_running',
      `Changes have not been recorded for ${Math.round(stoodMs / 1_000)} s: check that dispatcher runs.`,
    );
  });
}
