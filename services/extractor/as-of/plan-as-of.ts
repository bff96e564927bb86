import type { ChunkPlan } from '../plan/plan-chunks.ts';
import type { RowSelection } from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';
import { affectedKeysQuery, chunkBoundsQuery, type TypedKeyColumn } from './as-of-queries.ts';

/** An affected key: its place among the run's keys, and whether the export has its record. */
export interface PlacedKey {
  readonly place: string;
  readonly isIn: boolean;
}

/**
 * Cuts the resource's state at the cut into chunks, counted by the server. Two cursors advance together: one over rows
 * and affected keys gives bounds and counts, the other gives the affected keys in the same order. A chunk has at most
 * `rowsPerChunk` rows and keys together, including keys without a record. Its keys are assigned before it is returned.
 * Needs exclusive use of the session.
 */
export async function* planAsOf(
  session: SourceSession,
  selection: RowSelection,
  key: readonly TypedKeyColumn[],
  keyTable: string,
  rowsPerChunk: number,
  assign: (chunk: number, keys: readonly PlacedKey[]) => Promise<void>,
): AsyncGenerator<ChunkPlan> {
  const bounds = chunkBoundsQuery(selection, key, keyTable, rowsPerChunk);
  const affected = affectedKeysQuery(key, keyTable);
  await session.query(
    `declare tandem_bounds no scroll cursor without hold for ${bounds.text}`,
    bounds.values,
  );
  await session.query(
    `declare tandem_affected no scroll cursor without hold for ${affected.text}`,
    affected.values,
  );
  let lowerKey: readonly string[] | null = null;
  let rowsBefore = 0;
  let keysBefore = 0;
  for (let chunk = 0; ; ) {
    const { rows } = await session.query('fetch 1 from tandem_bounds');
    const bound = rows[0];
    if (bound === undefined) break;
    const upperKey = key.map(({ name }, at) => {
      const text = bound[`k${at}`];
      if (text == null) throw new Error(`the key column ${name} of ${selection.resource.name} holds a null`);
      return text;
    });
    const [rowsSoFar, keysSoFar] = [Number(bound.rows_in), Number(bound.keys_so_far)];
    const keys = await fetchKeys(session, keysSoFar - keysBefore);
    if (rowsSoFar > rowsBefore) {
      await assign(chunk, keys);
      yield { chunk, lowerKey, upperKey, rows: rowsSoFar - rowsBefore };
      chunk += 1;
    }
    lowerKey = upperKey;
    rowsBefore = rowsSoFar;
    keysBefore = keysSoFar;
  }
  await session.query('close tandem_bounds');
  await session.query('close tandem_affected');
}

async function fetchKeys(session: Pick<SourceSession, 'query'>, count: number): Promise<PlacedKey[]> {
  // `fetch 0` would return the current row again, which a forward-only cursor refuses.
  if (count === 0) return [];
  const { rows } = await session.query(`fetch ${count} from tandem_affected`);
  return rows.map(({ place, is_in: isIn }) => ({ place: place ?? '', isIn: isIn === 't' }));
}
