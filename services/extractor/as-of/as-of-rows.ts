import type { RowTexts } from '../../../shared/domain/row-shape.ts';
import { parseRecordKey } from '../changes-since/key-columns.ts';
import type { KeyBounds, SqlQuery } from '../plan/chunk-queries.ts';
import type { RowSelection } from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';
import type { ChunkImage } from './affected-keys.ts';
import { rowsAsOfQuery } from './as-of-queries.ts';
import { readTypedKey } from './typed-key.ts';

/** A chunk's rows as they were at the cut, in key order: most from the table, the others from events. */
export interface AsOfRows {
  /** Has the columns, and one more: null behind a row of the table, otherwise the place of an image. */
  readonly query: SqlQuery;
  /** The record's wire texts. */
  imageAt(place: string): RowTexts;
}

export async function readAsOfRows(
  session: SourceSession,
  selection: RowSelection,
  columns: readonly string[],
  bounds: KeyBounds,
  images: readonly ChunkImage[],
): Promise<AsOfRows> {
  const key = await readTypedKey(session, selection.resource);
  const keys = images.map(({ recordKey, image }) => ({
    texts: parseRecordKey(recordKey, key.length),
    isIn: image !== null,
  }));
  return {
    query: rowsAsOfQuery(selection, columns, bounds, key, keys),
    imageAt(place) {
      const image = images[Number(place) - 1]?.image;
      if (image == null) throw new Error(`there is no record at place ${place} of a chunk of the past`);
      return image;
    },
  };
}
