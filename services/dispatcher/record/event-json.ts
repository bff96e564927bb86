import type { DecodedChange } from '../../../shared/domain/change.ts';
import type { RowShape, RowTexts } from '../../../shared/domain/row-shape.ts';
import { createRowJson } from '../../../shared/values/json-text.ts';
import { createRecordKey } from '../../../shared/values/record-key.ts';

/** What a customer's event says of a change. Every text but the record key's is a JSON object. */
export interface EventJson {
  /**
   * The row after the change, or the deleted row, byte for byte as an export has it. A column whose value is not
   * known (`unchanged` or `missing`) is left out, so that it is never taken for null.
   */
  dataJson(change: DecodedChange): string;
  /**
   * The former values of the columns that an update changed, `{}` when it changed none. Undefined when there is
   * nothing to compare: no update, or a replica identity that carries only a part of the old row.
   */
  previousJson(change: DecodedChange): string | undefined;
  /** The key columns with their values, in column order. */
  keyJson(change: DecodedChange): string;
  recordKey(change: DecodedChange): string;
}

/** A truncation has no row: it becomes a `feed.reset`, and asking for its data is a bug. */
function rowOf(change: DecodedChange): RowTexts {
  const row = change.after ?? change.before;
  if (row === null) throw new RangeError(`a ${change.op} of ${change.resource} has no row`);
  return row;
}

/** @param withheld columns that are left out, because they no longer leave: a change may have been written while they did */
export function createEventJson(
  shape: RowShape,
  keyColumns: readonly string[],
  withheld: readonly string[] = [],
): EventJson {
  const { toJson } = createRowJson(shape);
  const { ofWireTexts } = createRecordKey(shape, keyColumns);
  const names = shape.columns.map((column) => column.name);
  const notKey = new Set(names.filter((name) => !keyColumns.includes(name)));

  return {
    dataJson(change) {
      const unknown = change.after === null ? change.missing : change.unchanged;
      return toJson(rowOf(change), new Set([...unknown, ...withheld]));
    },

    previousJson({ op, before, after, unchanged, missing }) {
      if (op !== 'update' || before === null || after === null || missing.length > 0) return undefined;
      // A value that was not sent again did not change.
      const same = names.filter((name, index) => unchanged.includes(name) || before[index] === after[index]);
      return toJson(before, new Set([...same, ...withheld]));
    },

    keyJson: (change) => toJson(rowOf(change), notKey),
    recordKey: (change) => ofWireTexts(rowOf(change)),
  };
}
