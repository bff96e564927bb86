import type { MergePoint } from '../../../shared/control/exports/chunk-merge.ts';
import type { ChangedRecord } from './changed-records.ts';
import type { KeyAmong } from './key-order.ts';

export interface PlacedRecord extends MergePoint {
  readonly record: ChangedRecord;
}

/** A chunk's changed records, divided by whether its part holds them. */
export interface FoundRecords {
  /** In the order of the part. */
  readonly inPart: readonly PlacedRecord[];
  /** Exported records that the part does not hold. */
  readonly created: readonly ChangedRecord[];
}

/** @param partKeys record keys of the part's rows, in order */
export function findInPart(partKeys: readonly string[], records: readonly ChangedRecord[]): FoundRecords {
  const byKey = new Map(records.map((record) => [record.recordKey, record]));
  const inPart: PlacedRecord[] = [];
  for (const [partRow, recordKey] of partKeys.entries()) {
    const record = byKey.get(recordKey);
    if (record === undefined) continue;
    byKey.delete(recordKey);
    inPart.push({ record, partRow, isInPart: true });
  }
  return { inPart, created: [...byKey.values()].filter(({ isIn }) => isIn) };
}

/**
 * Orders the changed records as in the file.
 *
 * @param among places of the created records among the part's keys, in key order
 */
export function placeChanged({ inPart, created }: FoundRecords, among: readonly KeyAmong[]): PlacedRecord[] {
  const others = among.map(({ index, before }): PlacedRecord => {
    const record = created[index];
    if (record === undefined) throw new RangeError(`there is no changed record ${index}`);
    return { record, partRow: before, isInPart: false };
  });
  const placed: PlacedRecord[] = [];
  let at = 0;
  for (const record of inPart) {
    // A created record goes before the first row that is greater.
    for (let other = others[at]; other !== undefined && other.partRow <= record.partRow; other = others[at]) {
      placed.push(other);
      at += 1;
    }
    placed.push(record);
  }
  return [...placed, ...others.slice(at)];
}
