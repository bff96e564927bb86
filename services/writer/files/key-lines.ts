import type { DeletedKeys } from '../../../shared/control/exports/deleted-keys.ts';
import type { RowShape } from '../../../shared/domain/row-shape.ts';
import type { Staging } from '../../../shared/formats/format.ts';
import { createRowJson } from '../../../shared/values/row-json.ts';

/**
 * Record keys as staged lines, as if they were rows of `shape`, which has the key columns in column order. `keyColumns` has
 * their names in key order.
 *
 * @throws Error for a record key with other columns; the signal's reason once it aborts
 */
export async function* keyLines(
  keys: Pick<DeletedKeys, 'pages'>,
  keyColumns: readonly string[],
  shape: RowShape,
  staging: Staging,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const places = shape.columns.map(({ name }) => keyColumns.indexOf(name));
  if (places.length !== keyColumns.length || places.includes(-1)) {
    throw new Error(`the key of ${shape.resource} in the catalog is not that of its rows`);
  }
  const { toJson } = createRowJson(shape);
  for await (const page of keys.pages()) {
    signal.throwIfAborted();
    const lines = page.map((recordKey) => {
      const key = JSON.parse(recordKey) as string[];
      if (key.length !== places.length)
        throw new Error(`a key of ${shape.resource} has ${key.length} columns`);
      const texts = places.map((place) => key[place] ?? null);
      return `${staging === 'json' ? toJson(texts) : JSON.stringify(texts)}\n`;
    });
    yield Buffer.from(lines.join(''));
  }
}
