import type { SourceSession } from '../source/source-session.ts';
import { countsQuery, type KeyBounds, keysQuery } from './chunk-queries.ts';
import type { RowSelection } from './row-selection.ts';

/** A slice of one resource's rows, counted by the snapshot's own cursor. Slices are in key order and leave nothing out. */
export interface ChunkPlan extends KeyBounds {
  /** From 0. */
  readonly chunk: number;
  readonly rows: number;
}

/**
 * Cuts the selected rows into chunks of `rowsPerChunk`. The cursor walks the keys inside the server and gives out one
 * key a chunk, so that a count and exact bounds cost no transfer, whatever the key's type, collation or skew; it reads
 * ahead no further than it is asked. No rows make no chunks. Needs the session for itself while it is consumed.
 */
export async function* planChunks(
  session: SourceSession,
  selection: RowSelection,
  rowsPerChunk: number,
): AsyncGenerator<ChunkPlan> {
  const { key } = selection.resource;
  const keys = keysQuery(selection);
  await session.query(`declare tandem_keys no scroll cursor without hold for ${keys.text}`, keys.values);
  let lowerKey: readonly string[] | null = null;
  for (let chunk = 0; ; chunk += 1) {
    const skipped = (await session.query(`move forward ${rowsPerChunk - 1} in tandem_keys`)).rowCount;
    const { rows } = await session.query('fetch 1 from tandem_keys');
    const last = rows[0];
    if (last === undefined) {
      if (skipped > 0) yield { chunk, lowerKey, upperKey: null, rows: skipped };
      break;
    }
    const upperKey: readonly string[] = key.map((column) => {
      const text = last[column];
      if (text == null)
        throw new Error(`the key column ${column} of ${selection.resource.name} holds a null`);
      return text;
    });
    yield { chunk, lowerKey, upperKey, rows: skipped + 1 };
    lowerKey = upperKey;
  }
  await session.query('close tandem_keys');
}

/** What is planned of one resource, and with how many rows in a chunk. */
export interface PlannedResource {
  readonly selection: RowSelection;
  readonly rowsPerChunk: number;
}

/**
 * Plans several resources whose rows probably are one chunk each, in one statement: round trips are what small resources cost.
 * No rows make no chunks. Of a resource that has more than one chunk of rows the plan is undefined, and nothing was cut.
 */
export async function planSmall(
  session: SourceSession,
  planned: readonly PlannedResource[],
): Promise<readonly (readonly ChunkPlan[] | undefined)[]> {
  const { text, values } = countsQuery(
    planned.map(({ selection, rowsPerChunk }) => ({ selection, limit: rowsPerChunk + 1 })),
  );
  const { rows } = await session.query(text, values);
  return planned.map(({ rowsPerChunk }, index) => {
    const rowCount = Number(rows[0]?.[`n${index}`]);
    if (rowCount > rowsPerChunk) return undefined;
    return rowCount === 0 ? [] : [{ chunk: 0, lowerKey: null, upperKey: null, rows: rowCount }];
  });
}
