import type { EventRow } from '../../services/extractor/as-of/event-row.ts';
import { createRecordFold } from '../../services/extractor/as-of/rebuild-record.ts';
import { findInPart, placeChanged } from '../../services/extractor/chunked/place-changed.ts';
import { mayTakePart } from '../../services/extractor/chunked/rebuild-changed.ts';
import type { RowType } from '../../shared/domain/row-type.ts';

/** What the model of chunked exports (`chunked-model.ts`) has rows and transactions of, and what is told of them. */

export interface Row {
  readonly id: number;
  readonly account: 'ours' | 'theirs';
  readonly text: string;
  /** Stored apart: an update that leaves it alone does not send it again. */
  readonly big: string;
}

export interface Write {
  readonly before: Row | undefined;
  readonly after: Row | undefined;
  readonly isBigSent: boolean;
  /** The record stays, and its subscriber may have lost it before: as one that was soft-deleted. */
  readonly isRestored: boolean;
}

export interface Filled {
  readonly big: string;
  /** Everything that was visible then was written up to here. */
  readonly lsn: number;
}

export interface Transaction {
  readonly xid: bigint;
  readonly writes: readonly Write[];
  readonly isTruncate: boolean;
  lsn: number;
  state: 'running' | 'written' | 'visible';
  isCaptured: boolean;
  /** What capture has read for a write that does not say it. */
  readonly filled: Map<Write, Filled>;
}

export interface Event {
  readonly xid: bigint;
  readonly lsn: number;
  readonly id: number;
  readonly row: EventRow;
}

const NAMES = ['id', 'text', 'big'] as const;
const ROW_TYPE: RowType = {
  resource: 'rows',
  columns: NAMES.map((name) => ({ name, type: { kind: 'string', pgName: 'text' }, isKey: name === 'id' })),
};

export const isSame = (before: Row | undefined, after: Row | undefined) =>
  before !== undefined && before.id === after?.id && before.account === after.account;

export const ours = (rows: ReadonlyMap<number, Row>) =>
  [...rows.values()].filter(({ account }) => account === 'ours').sort((a, b) => a.id - b.id);

export const print = ({ id, text, big }: Row) => JSON.stringify([String(id), text, big]);

/** What capture tells our account of, with the values that it read up to a position. */
export function eventsOf({ xid, lsn, writes, filled }: Transaction, filledUpTo: number): Event[] {
  return writes.flatMap((write) => {
    const { before, after, isBigSent } = write;
    const was = before?.account === 'ours' ? before : undefined;
    const is = after?.account === 'ours' ? after : undefined;
    const isMoved = was !== undefined && is !== undefined && was.id !== is.id;
    const isUpdate = was !== undefined && is !== undefined && !isMoved;
    const data = new Map(
      is === undefined
        ? []
        : [
            ['id', String(is.id)],
            ['text', is.text],
          ],
    );
    if (is !== undefined && isBigSent) data.set('big', is.big);
    const later = filled.get(write);
    if (later !== undefined && later.lsn <= filledUpTo) data.set('big', later.big);
    const unchanged = data.has('big') ? [] : ['big'];
    const gone: EventRow = { op: 'delete', data: new Map(), previous: undefined, unchanged: [] };
    return [
      ...(was !== undefined && !isUpdate ? [{ xid, lsn, id: was.id, row: gone }] : []),
      ...(is === undefined
        ? []
        : [
            {
              xid,
              lsn,
              id: is.id,
              row: {
                op: isUpdate ? ('update' as const) : ('insert' as const),
                data,
                previous: undefined,
                unchanged,
              },
            },
          ]),
    ];
  });
}

/** What capture tells of a table whose old rows have everything. */
export function fullEventsOf({ xid, lsn, writes }: Transaction): Event[] {
  const valuesOf = ({ id, text, big }: Row) => new Map(Object.entries({ id: String(id), text, big }));
  return writes.flatMap(({ before, after }) => {
    const was = before?.account === 'ours' ? before : undefined;
    const is = after?.account === 'ours' ? after : undefined;
    const tell = (op: EventRow['op'], row: Row, previous?: Row): Event => ({
      xid,
      lsn,
      id: row.id,
      row: { op, data: valuesOf(row), previous: previous && valuesOf(previous), unchanged: [] },
    });
    if (was !== undefined && was.id === is?.id) return [tell('update', is, was)];
    return [
      ...(was === undefined ? [] : [tell('delete', was)]),
      ...(is === undefined ? [] : [tell('insert', is)]),
    ];
  });
}

/** A chunk's lines, merged as the extractor places the changed records and the writer takes them. */
export function mergeOf(rows: readonly Row[], events: readonly Event[], cut = Infinity): string[] {
  const folds = new Map(
    [...Map.groupBy(events, ({ id }) => id)].map(([id, ofRecord]) => {
      const fold = createRecordFold(ROW_TYPE);
      for (const { lsn, row } of ofRecord) fold.add(lsn >= cut, () => row);
      return [id, fold.state()] as const;
    }),
  );
  const records = [...folds].map(([id, state], place) => ({
    place,
    recordKey: String(id),
    isIn: state.kind !== 'absent',
    isWhole: state.kind !== 'unknown',
  }));
  const lines: string[] = [];
  let at = 0;
  const placed = placeNow(
    rows.map(({ id }) => String(id)),
    records,
  );
  for (const { record, partRow, isInPart } of placed) {
    for (; at < partRow; at += 1) lines.push(print(rows[at] as Row));
    const base = isInPart ? rows[at] : undefined;
    if (isInPart) at += 1;
    const state = folds.get(Number(record.recordKey));
    if (state === undefined || state.kind === 'absent') continue;
    const fromPart = mayTakePart(state) ? base?.big : undefined;
    const big = state.row[2] === false ? fromPart : state.row[2];
    lines.push(big === undefined ? 'unknown' : JSON.stringify([state.row[0], state.row[1], big]));
  }
  return [...lines, ...rows.slice(at).map(print)];
}

/** With an order that needs no server. */
function placeNow(partKeys: readonly string[], records: Parameters<typeof findInPart>[1]) {
  const found = findInPart(partKeys, records);
  const among = found.created
    .map(({ recordKey }, index) => ({
      index,
      id: Number(recordKey),
      before: partKeys.filter((key) => Number(key) < Number(recordKey)).length,
    }))
    .sort((a, b) => a.id - b.id);
  return placeChanged(found, among);
}

/** What a subscriber has who was told of all these. */
export function replicaOf(log: readonly Transaction[]): string[] {
  const records = new Map<number, ReadonlyMap<string, string | null>>();
  for (const transaction of log) {
    if (transaction.isTruncate) records.clear();
    for (const { id, row } of eventsOf(transaction, Infinity)) {
      const had = row.op === 'update' ? records.get(id) : undefined;
      if (row.op === 'delete') records.delete(id);
      else records.set(id, new Map([...(had ?? []), ...row.data]));
    }
  }
  const inOrder = [...records].sort(([a], [b]) => a - b);
  return inOrder.map(([, values]) => JSON.stringify(NAMES.map((name) => values.get(name))));
}
