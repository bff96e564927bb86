import type { Pool } from 'pg';
import { saveMergePoints } from '../../../shared/control/exports/chunk-merge.ts';
import { readChunkEnds, readPackedKeys } from '../../../shared/control/exports/chunked-reading.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import { readTypedKey, type TypedKeyColumn } from '../as-of/as-of-queries.ts';
import { readKeyPage } from '../changes-since/changed-keys.ts';
import { parseRecordKey } from '../changes-since/keyed-queries.ts';
import { SingleSnapshotNeededError } from '../extraction-errors.ts';
import type { ResourceRowsSource } from '../plan/resource-rows.ts';
import type { RowSelection } from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';
import { assignChunks, countChangedByChunk, readChangedOfChunk } from './changed-records.ts';
import { findKeysAmong } from './key-order.ts';
import { findInPart, placeChanged } from './place-changed.ts';
import { rebuildChanged } from './rebuild-changed.ts';
import { unpackRecordKeys } from './record-keys.ts';

export interface MergeChangesDeps {
  readonly control: Pool;
  /** On the primary; no transaction is open in it. */
  readonly session: SourceSession;
  readonly resourceRows: ResourceRowsSource;
  /** `xmin:xmax:xip,…` of the snapshot, whose seal has arrived and whose events are recorded. */
  readonly snapshot: string;
  /** @throws when the run has ended */
  check(): Promise<unknown>;
}

/** Keys compared with the bounds of all chunks in one statement. */
const PAGE_KEYS = 5_000;

/** Limit of one chunk's changed records in memory: their keys, not their values. */
const MAX_OF_CHUNK = 500_000;

const SAVED_AT_ONCE = 5_000;

/**
 * Finds the records of one resource whose files must differ from the parts read, and their places. All chunks are read.
 *
 * @throws SingleSnapshotNeededError when the events do not determine a record
 */
export async function mergeChanges(
  claim: ClaimedExport,
  selection: RowSelection,
  deps: MergeChangesDeps,
): Promise<{ changed: number }> {
  const { control, session, resourceRows, snapshot, check } = deps;
  const { resource } = selection;
  const run = `${claim.id}/${claim.runAttempt}/chunked`;
  const { codec } = await resourceRows.of(run, resource, session);
  const changed = await rebuildChanged(control, session, claim, snapshot, selection, codec.shape);
  if (changed === 0) return { changed };
  const key = await readTypedKey(session, resource);
  await assignToChunks(claim, resource.name, key, deps);
  let mergePlace = 0;
  for (const { chunk, count } of await countChangedByChunk(control, claim, resource.name)) {
    await check();
    if (count > MAX_OF_CHUNK) {
      throw new SingleSnapshotNeededError(
        `More than ${MAX_OF_CHUNK} records of one part of ${resource.name} changed.`,
      );
    }
    const points = await placeInPart(claim, resource.name, chunk, key, deps);
    for (let from = 0; from < points.length; from += SAVED_AT_ONCE) {
      const page = points.slice(from, from + SAVED_AT_ONCE);
      const base = mergePlace + from;
      await saveMergePoints(
        control,
        claim,
        resource.name,
        page.map((point, index) => ({ ...point, mergePlace: base + index })),
      );
    }
    mergePlace += points.length;
  }
  return { changed };
}

/** A chunk's range includes its upper bound. The last chunk has none. */
async function assignToChunks(
  claim: ClaimedExport,
  resource: string,
  key: readonly TypedKeyColumn[],
  { control, session, check }: MergeChangesDeps,
): Promise<void> {
  const ends = await readChunkEnds(control, claim.id, resource);
  for (let fromPlace = 0; ; fromPlace += PAGE_KEYS) {
    await check();
    const page = await readKeyPage(control, claim, resource, fromPlace, PAGE_KEYS);
    if (page.length === 0) return;
    const keys = page.map((recordKey) => parseRecordKey(recordKey, key.length));
    const among = await findKeysAmong(session, key, ends, 'printed', keys);
    await assignChunks(
      control,
      claim,
      resource,
      among.map(({ index, before }) => ({ place: fromPlace + index, chunk: before })),
    );
  }
}

/** Assigns places in the order of the file. */
async function placeInPart(
  claim: ClaimedExport,
  resource: string,
  chunk: number,
  key: readonly TypedKeyColumn[],
  { control, session }: MergeChangesDeps,
) {
  const partKeys = await unpackRecordKeys(await readPackedKeys(control, claim.id, resource, chunk));
  const records = await readChangedOfChunk(control, claim, resource, chunk);
  const found = findInPart(partKeys, records);
  const texts = (recordKey: string) => parseRecordKey(recordKey, key.length);
  const created = found.created.map(({ recordKey }) => texts(recordKey));
  const among =
    created.length === 0 ? [] : await findKeysAmong(session, key, partKeys.map(texts), 'wire', created);
  const points = placeChanged(found, among);
  const unknown = points.find(({ record, isInPart }) => record.isIn && !isInPart && !record.isWhole);
  if (unknown !== undefined) {
    throw new SingleSnapshotNeededError(
      `A record of ${resource} came into the export while its rows were read, without all of its values.`,
    );
  }
  return points.map(({ record, partRow, isInPart }) => ({ place: record.place, partRow, isInPart }));
}
