import type { RowTexts, RowType } from '../../../shared/domain/row-type.ts';
import type { EventRow } from './event-row.ts';

/** A record at the cut. */
export type RecordState =
  | { readonly kind: 'absent' }
  | { readonly kind: 'present'; readonly row: RowTexts }
  /** Columns whose values are in no event have `false` in the row. */
  | {
      readonly kind: 'unknown';
      readonly columns: readonly string[];
      /** An event before the cut created or removed the record: what was there before shares no value with it. */
      readonly isMadeAnew: boolean;
      readonly row: readonly (string | null | false)[];
    };

/** Takes one record's events around a cut, in commit order. Keeps one record for any number of events. */
export interface RecordFold {
  /** `isBehind`: after the cut. The event is read only if it can still add a value. */
  add(isBehind: boolean, read: () => EventRow): void;
  state(): RecordState;
}

/**
 * Rebuilds a record at the cut from the events around it. The first event after the cut holds the values before its
 * change; the last event before the cut holds those after its change. Either can lack a column: an old row has only the
 * columns of the replica identity, and an unchanged TOAST value is not sent again. For a column that a change did not
 * alter, the next event is searched.
 */
export function createRecordFold({ columns }: RowType): RecordFold {
  const names = columns.map(({ name }) => name);
  let isThere: boolean | undefined;
  let isAnyBehind = false;
  let isMadeAnew = false;
  /** The record after the events before the cut. */
  let left = new Map<string, string | null>();
  /** The record before the events after the cut, and the columns still unknown. */
  const found = new Map<string, string | null>();
  let pending = names;

  function addBefore({ op, data, unchanged }: EventRow): void {
    isThere = op !== 'delete';
    isMadeAnew ||= op !== 'update';
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
        return text === undefined ? false : text;
      });
      return isThere === undefined || unknown.length > 0
        ? { kind: 'unknown', columns: unknown, isMadeAnew, row }
        : { kind: 'present', row: row.map((text) => (text === false ? null : text)) };
    },
  };
}
