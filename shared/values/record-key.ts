import type { RowTexts, RowType } from '../domain/row-type.ts';
import { toWireText } from './json-text.ts';
import type { PgRow } from './pg-row.ts';

/**
 * Identifies a record within its resource: a JSON array of the key columns' wire texts, `["42"]`, in key order. Part
 * of Kafka keys, and of the ordering of a record's events. All forms give the same text for a row.
 */
export interface RecordKey {
  ofPgTexts(row: RowTexts): string;
  ofPgRow(row: PgRow): string;
  ofWireTexts(row: RowTexts): string;
}

/** @throws RangeError when the row type has no such column */
export function createRecordKey(rowType: RowType, keyColumns: readonly string[]): RecordKey {
  const key = keyColumns.map((name) => {
    const index = rowType.columns.findIndex((column) => column.name === name);
    const column = rowType.columns[index];
    if (column === undefined)
      throw new RangeError(`${rowType.resource} has no key column ${JSON.stringify(name)}`);
    return { index, type: column.type };
  });
  const [only] = key;
  // Nearly every table has such a key, and digits need no escapes.
  const digitsAt =
    key.length === 1 && (only?.type.kind === 'int' || only?.type.kind === 'long') ? only.index : undefined;
  const ofTexts = (textAt: (index: number) => string | null) => {
    const digits = digitsAt === undefined ? null : textAt(digitsAt);
    if (digits !== null) return `["${digits}"]`;
    return JSON.stringify(
      key.map(({ index, type }) => {
        const text = textAt(index);
        return text === null ? null : toWireText(type, text);
      }),
    );
  };
  return {
    ofPgTexts: (row) => ofTexts((index) => row[index] ?? null),
    ofPgRow: (row) => ofTexts((index) => row.text(index)),
    ofWireTexts: (row) => JSON.stringify(key.map(({ index }) => row[index] ?? null)),
  };
}
