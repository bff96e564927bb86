import type { RowShape, RowTexts } from '../domain/row-shape.ts';
import { toWireText } from './json-text.ts';

/**
 * Identifies a record within its resource: a JSON array of the key columns' wire texts, `["42"]`, in key order. Part
 * of Kafka keys, and the lane in which a record's events keep their order. Both forms give the same text for a row.
 */
export interface RecordKey {
  ofPgTexts(row: RowTexts): string;
  ofWireTexts(row: RowTexts): string;
}

/** @throws RangeError when the shape has no such column */
export function createRecordKey(shape: RowShape, keyColumns: readonly string[]): RecordKey {
  const key = keyColumns.map((name) => {
    const index = shape.columns.findIndex((column) => column.name === name);
    const column = shape.columns[index];
    if (column === undefined)
      throw new RangeError(`${shape.resource} has no key column ${JSON.stringify(name)}`);
    return { index, type: column.type };
  });
  return {
    ofPgTexts: (row) =>
      JSON.stringify(
        key.map(({ index, type }) => {
          const text = row[index] ?? null;
          return text === null ? null : toWireText(type, text);
        }),
      ),
    ofWireTexts: (row) => JSON.stringify(key.map(({ index }) => row[index] ?? null)),
  };
}
