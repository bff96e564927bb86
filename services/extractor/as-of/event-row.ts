import type { RowType } from '../../../shared/domain/row-type.ts';
import { jsonToWireText, readJsonMembers } from '../../../shared/values/json-members.ts';

/** Values of some columns, as wire texts; null is SQL NULL. */
export type KnownValues = ReadonlyMap<string, string | null>;

/** The values of a record that one event holds. */
export interface EventRow {
  readonly op: 'insert' | 'update' | 'delete';
  /** The row after the change, or the deleted row, as far as it is known. */
  readonly data: KnownValues;
  /** The values before an update, of the columns that it changed. Undefined if unknown. */
  readonly previous: KnownValues | undefined;
  /** Columns that the change did not alter and whose value is not in the event, or is there but may be too new. */
  readonly unchanged: readonly string[];
}

/** An event as the log has it. */
export interface StoredEvent {
  readonly op: string | null;
  /** Columns whose `null` is a JSON null, and those whose values may be later than the change. Null if not recorded. */
  readonly jsonNulls: {
    readonly data?: readonly string[];
    readonly previous?: readonly string[];
    readonly filled?: { readonly columns: readonly string[] };
  } | null;
  readonly payload: string;
  /** The later values may come from a change that is not in the wanted state. */
  readonly isFilledLater: boolean;
}

/**
 * Reads an event back. A value that may be later than the wanted state is left out, as if it had not been read. Columns of
 * another row type are skipped; the caller makes sure that the row type has not changed.
 *
 * @returns undefined for an event of an earlier version that did not record enough
 * @throws UnreadableTextError when the payload is not of these columns
 */
export function readEventRow(
  rowType: RowType,
  { op, jsonNulls, payload, isFilledLater }: StoredEvent,
): EventRow | undefined {
  if (jsonNulls === null || (op !== 'insert' && op !== 'update' && op !== 'delete')) return undefined;
  const members = readJsonMembers(payload);
  const values = (json: string, nulls: readonly string[] = []): Map<string, string | null> => {
    const texts = readJsonMembers(json);
    const known = new Map<string, string | null>();
    for (const { name, type } of rowType.columns) {
      const text = texts.get(name);
      if (text === undefined) continue;
      const isSqlNull = text === 'null' && !nulls.includes(name);
      known.set(name, isSqlNull ? null : jsonToWireText(type.kind, text));
    }
    return known;
  };
  const previous = members.get('previous');
  const data = values(members.get('data') ?? '{}', jsonNulls.data);
  const later = isFilledLater ? (jsonNulls.filled?.columns ?? []) : [];
  for (const name of later) data.delete(name);
  const unchanged: string[] = JSON.parse(members.get('unchanged') ?? '[]');
  return {
    op,
    data,
    previous: previous === undefined ? undefined : values(previous, jsonNulls.previous),
    // A record that is new at its key has no earlier value.
    unchanged: op === 'update' ? [...unchanged, ...later] : unchanged,
  };
}
