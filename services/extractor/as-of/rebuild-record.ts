import type { RowTexts, RowType } from '../../../shared/domain/row-type.ts';
import type { EventRow } from './event-row.ts';

/** A record at the cut. */
export type RecordState =
  | { readonly kind: 'absent' }
  | { readonly kind: 'present'; readonly row: RowTexts }
  /** The events do not tell the values of these columns. */
  | { readonly kind: 'unknown'; readonly columns: readonly string[] };

/** Takes one record's events around a cut, in commit order. What it keeps is one record, however many events there are. */
export interface RecordFold {
  /** `isBehind`: not in the state at the cut. The event is asked for only if it can tell anything still. */
  add(isBehind: boolean, read: () => EventRow): void;
  state(): RecordState;
}

/**
 * A record as it was at the cut, from the events next to it. What followed tells it as it was before the first change; what
 * went ahead, as it was after the last. Either may leave out a column: the old version of a row has only what the replica
 * identity carries, and a value stored apart is not sent again. A column that a change left alone is looked for one event on.
 */
export function createRecordFold({ columns }: RowType): RecordFold {
  const names = columns.map(({ name }) => name);
  let isThere: boolean | undefined;
  let isAnyBehind = false;
  /** As the events before the cut left the record. */
  let left = new Map<string, string | null>();
  /** As those behind it found it, and what they have not told yet. */
  const found = new Map<string, string | null>();
  let pending = names;

  function addBefore({ op, data, unchanged }: EventRow): void {
    isThere = op !== 'delete';
    const next = new Map<string, string | null>();
    for (const name of isThere ? names : []) {
      const value = data.has(name) || !unchanged.includes(name) ? data.get(name) : left.get(name);
      if (value !== undefined) next.set(name, value);
    }
    left = next;
  }

  function addBehind({ op, data, previous, unchanged }: EventRow): void {
    if (!isAnyBehind) isThere = op !== 'insert';
    isAnyBehind = true;
    pending = pending.filter((name) => {
      const text = previous?.has(name)
        ? previous.get(name)
        : op === 'delete' || (op === 'update' && previous !== undefined)
          ? data.get(name)
          : undefined;
      if (text !== undefined) found.set(name, text);
      return text === undefined && op === 'update' && unchanged.includes(name);
    });
  }

  return {
    add(isBehind, read) {
      if (!isBehind) addBefore(read());
      else if (pending.length > 0) addBehind(read());
    },
    state() {
      if (isThere === false) return { kind: 'absent' };
      const unknown: string[] = [];
      const row = names.map((name) => {
        const text = found.has(name) ? found.get(name) : left.get(name);
        if (text === undefined) unknown.push(name);
        return text ?? null;
      });
      return isThere === undefined || unknown.length > 0
        ? { kind: 'unknown', columns: unknown }
        : { kind: 'present', row };
    },
  };
}
