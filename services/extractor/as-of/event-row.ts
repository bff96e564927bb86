import type { RowShape } from '../../../shared/domain/row-shape.ts';
import { readJsonMembers } from '../../../shared/values/json-members.ts';
import { jsonToWireText } from '../../../shared/values/json-to-wire.ts';

/** Values of some columns, as wire texts; null is SQL NULL. */
export type KnownValues = ReadonlyMap<string, string | null>;

/** What one event says of its record. */
export interface EventRow {
  readonly op: 'insert' | 'update' | 'delete';
  /** The row after the change, or the deleted row, as far as it is known. */
  readonly data: KnownValues;
  /** What an update changed, as it was before; undefined when that is not known. */
  readonly previous: KnownValues | undefined;
  /** Columns that the change left as they were, and whose value it does not tell. */
  readonly unchanged: readonly string[];
}

/** An event as the log has it. */
export interface StoredEvent {
  readonly op: string | null;
  /** Columns whose `null` is a JSON null; null when that was not kept. */
  readonly jsonNulls: { readonly data?: readonly string[]; readonly previous?: readonly string[] } | null;
  readonly payload: string;
}

/**
 * Reads an event back. Columns of another shape are passed over; who asks makes sure that the shape has not changed.
 *
 * @returns undefined for an event that was recorded by a version which did not keep what is needed
 * @throws UnreadableTextError when the payload is not of these columns
 */
export function readEventRow(shape: RowShape, { op, jsonNulls, payload }: StoredEvent): EventRow | undefined {
  if (jsonNulls === null || (op !== 'insert' && op !== 'update' && op !== 'delete')) return undefined;
  const members = readJsonMembers(payload);
  const values = (json: string, nulls: readonly string[] = []): KnownValues => {
    const texts = readJsonMembers(json);
    const known = new Map<string, string | null>();
    for (const { name, type } of shape.columns) {
      const text = texts.get(name);
      if (text === undefined) continue;
      const isSqlNull = text === 'null' && !nulls.includes(name);
      known.set(name, isSqlNull ? null : jsonToWireText(type.kind, text));
    }
    return known;
  };
  const previous = members.get('previous');
  return {
    op,
    data: values(members.get('data') ?? '{}', jsonNulls.data),
    previous: previous === undefined ? undefined : values(previous, jsonNulls.previous),
    unchanged: JSON.parse(members.get('unchanged') ?? '[]'),
  };
}
