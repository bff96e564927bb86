import type { Pool } from 'pg';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import type { PublicShape } from '../../../shared/values/public-shape.ts';
import { collectAffected, type KeyEvent, readAllEvents, readNextEvents } from '../as-of/affected-keys.ts';
import { type EventRow, readEventRow } from '../as-of/event-row.ts';
import { createRecordFold, type RecordFold, type RecordState } from '../as-of/rebuild-record.ts';
import { type ImageConditions, isInRange, readImageConditions } from '../as-of/select-image.ts';
import { SingleSnapshotNeededError } from '../extraction-errors.ts';
import type { RowSelection } from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';
import { type ChangedImage, collectChanged, readEarlierEvents, saveChanged } from './changed-records.ts';

/** Records in memory at once. */
const PAGE_RECORDS = 500;

interface Rebuilt {
  readonly place: number;
  readonly image: ChangedImage['image'];
  /** The part's row with the same key holds the values that it lacks. */
  readonly mayTakePart: boolean;
}

/**
 * Rebuilds the records of one resource that changed since the read started, as the snapshot sees them and in their
 * public form, like events and parts. The last event is enough unless it lacks values that it did not alter. Then
 * earlier events may hold them, otherwise the chunk's part. The part may hold another record of that key, from before a
 * record was removed or created. For an as-of export the part holds nothing of use.
 *
 * @returns their number
 * @throws SingleSnapshotNeededError when an event can't be read back, or lacks a value that the part lacks too
 */
export async function rebuildChanged(
  pool: Pool,
  session: SourceSession,
  claim: ClaimedExport,
  snapshot: string,
  selection: RowSelection,
  shape: PublicShape,
): Promise<number> {
  const { name } = selection.resource;
  const { rowType } = shape;
  const isOfPast = selection.request.as_of !== null;
  const recordCount = await (isOfPast ? collectAffected : collectChanged)(pool, claim, snapshot, name);
  if (recordCount === 0) return 0;
  const conditions = await readImageConditions(selection, rowType, shape, session);
  const rowOf = ({ event }: KeyEvent): EventRow => readEventRow(rowType, event) ?? raiseTooOld(name);
  let rebuilt: Rebuilt[] = [];
  const save = async () => {
    const images = await select(rebuilt, conditions, session);
    if (images.some(({ isIn, mayTakePart }) => isIn && !mayTakePart)) {
      throw new SingleSnapshotNeededError(
        `A record of ${name} moved to its key while rows were read, and the feed lacks some of its values.`,
      );
    }
    await saveChanged(pool, claim, name, images);
    rebuilt = [];
  };

  let foundCount = 0;
  for (let fromPlace = 0; fromPlace < recordCount; fromPlace += PAGE_RECORDS) {
    for (const event of await readNextEvents(pool, claim, name, fromPlace, PAGE_RECORDS)) {
      const fold = createRecordFold(rowType);
      fold.add(event.isBehind, () => rowOf(event));
      foundCount += 1;
      if (!isOfPast || fold.state().kind !== 'unknown') rebuilt.push(rebuiltOf(event.place, fold));
    }
    await save();
  }
  if (foundCount !== recordCount) {
    throw new SingleSnapshotNeededError(`Events of ${name} expired while its rows were read.`);
  }

  let place = -1;
  let fold = createRecordFold(rowType);
  const finish = () => {
    if (place < 0) return;
    if (isOfPast && fold.state().kind === 'unknown') {
      throw new SingleSnapshotNeededError(
        `The state of some records of ${name} at that time was not recorded.`,
      );
    }
    rebuilt.push(rebuiltOf(place, fold));
  };
  await (isOfPast ? readAllEvents : readEarlierEvents)(pool, claim, name, async (event) => {
    if (event.place !== place) {
      finish();
      place = event.place;
      fold = createRecordFold(rowType);
      if (rebuilt.length >= PAGE_RECORDS) await save();
    }
    fold.add(event.isBehind, () => rowOf(event));
  });
  finish();
  await save();
  return recordCount;
}

function rebuiltOf(place: number, fold: RecordFold): Rebuilt {
  const state = fold.state();
  return { place, image: state.kind === 'absent' ? null : state.row, mayTakePart: mayTakePart(state) };
}

/** Whether the part's row of the same key holds what the record's events since the start of the read lack. */
export function mayTakePart(state: RecordState): boolean {
  return state.kind !== 'unknown' || !state.isMadeAnew;
}

/** Applies the selection to images: soft deletion and the date range. Account and `where` are applied by the feed. */
async function select(
  rebuilt: readonly Rebuilt[],
  conditions: ImageConditions,
  session: SourceSession,
): Promise<(ChangedImage & Rebuilt)[]> {
  const { softDeletePlace, rangePlace } = conditions;
  const images = rebuilt.map(({ place, image, mayTakePart }) => {
    // A value that was not sent again is stored out of line, so it is not null.
    const isDeleted = softDeletePlace >= 0 && (image?.[softDeletePlace] ?? null) !== null;
    return { place, image, mayTakePart, isIn: image !== null && !isDeleted };
  });
  if (rangePlace < 0) return images;
  const values = images.map(({ image }) => image?.[rangePlace] ?? null);
  if (values.includes(false)) throw new Error('a time is not stored apart from its row');
  const areIn = await isInRange(session, conditions, values as (string | null)[]);
  return images.map((image, index) => ({ ...image, isIn: image.isIn && areIn[index] === true }));
}

function raiseTooOld(resource: string): never {
  throw new SingleSnapshotNeededError(
    `An earlier version recorded changes of ${resource} without the data for chunked exports.`,
  );
}
