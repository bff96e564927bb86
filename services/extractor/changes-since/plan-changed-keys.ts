import type { ChunkPlan } from '../plan/plan-chunks.ts';
import type { RowSelection } from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';
import { type KeyColumn, parseRecordKey } from './key-columns.ts';
import { presentKeysQuery } from './keyed-queries.ts';

/** The run's keys of one resource. */
export interface ChangedKeys {
  page(fromPlace: number, limit: number): Promise<string[]>;
  assign(chunk: number, places: readonly number[]): Promise<void>;
}

/**
 * Looks the changed keys up under the snapshot and cuts those that are there into chunks, counted by what the snapshot
 * has. Keys that are in no chunk in the end are those of deleted records. A chunk's keys are assigned before it is given out.
 */
export async function* planChangedKeys(
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
