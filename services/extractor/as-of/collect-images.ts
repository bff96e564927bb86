import type { Pool } from 'pg';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import type { PublicShape } from '../../../shared/values/public-shape.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import {
  collectAffected,
  type KeyEvent,
  type KeyImage,
  readAllEvents,
  readNextEvents,
  saveImages,
} from './affected-keys.ts';
import { type EventRow, readEventRow } from './event-row.ts';
import { createRecordFold, type RecordFold } from './rebuild-record.ts';

/** Records in memory at once. */
const PAGE_KEYS = 500;

/**
 * Rebuilds the records of one resource that differ between the cut and the snapshot, in their public form, because
 * events hold only that. With the replica identity FULL the event nearest to the cut is enough; otherwise all events of
 * the record are needed.
 *
 * @returns the number of keys
 * @throws ExportFailedError when the events do not determine a record
 */
export async function collectImages(
  pool: Pool,
  claim: ClaimedExport,
  snapshot: string,
  resource: Resource,
  shape: PublicShape,
): Promise<number> {
  const { name } = resource;
  const { rowType } = shape;
  const keyCount = await collectAffected(pool, claim, snapshot, name);
  const rowOf = ({ event }: KeyEvent): EventRow => readEventRow(rowType, event) ?? raiseTooOld(name);
  let knownCount = 0;
  let images: KeyImage[] = [];
  const save = async () => {
    await saveImages(pool, claim, name, images);
    knownCount += images.length;
    images = [];
  };

  for (let fromPlace = 0; fromPlace < keyCount; fromPlace += PAGE_KEYS) {
    for (const event of await readNextEvents(pool, claim, name, fromPlace, PAGE_KEYS)) {
      const fold = createRecordFold(rowType);
      fold.add(event.isBehind, () => rowOf(event));
      images.push(...imageOf(event.place, fold, shape));
    }
    await save();
  }
  if (knownCount === keyCount) return keyCount;

  let place = -1;
  let fold = createRecordFold(rowType);
  const finish = () => images.push(...(place < 0 ? [] : imageOf(place, fold, shape)));
  await readAllEvents(pool, claim, name, async (event) => {
    if (event.place !== place) {
      finish();
      place = event.place;
      fold = createRecordFold(rowType);
      if (images.length >= PAGE_KEYS) await save();
    }
    fold.add(event.isBehind, () => rowOf(event));
  });
  finish();
  await save();
  if (knownCount === keyCount) return keyCount;
  throw new ExportFailedError(
    'record_not_known',
    `The state of ${keyCount - knownCount} records of ${name} at that time was not recorded. To record it from now on, ` +
      'set as_of: true in the catalog, and run source prepare.',
  );
}

/** Undefined if the events do not determine the record. */
function imageOf(place: number, fold: RecordFold, shape: PublicShape): KeyImage[] {
  const state = fold.state();
  if (state.kind === 'unknown') return [];
  return [{ place, image: state.kind === 'present' ? shape.restore(state.row) : null }];
}

function raiseTooOld(resource: string): never {
  throw new ExportFailedError(
    'moment_not_covered',
    `An earlier version recorded changes of ${resource} without the data for as-of exports: ` +
      'use an as_of after the upgrade.',
  );
}
