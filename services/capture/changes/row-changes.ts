import type { Change, FilledColumns, ResetReason } from '../../../shared/domain/change.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import { EVERY_ACCOUNT } from '../../../shared/protocol/headers.ts';
import type { OldTuple, PgOutputMessage } from '../replication/pgoutput.ts';
import type { CapturedTable, RowVersion } from './captured-table.ts';
import { createMadeRecords, type MadeRecords } from './made-records.ts';

/** A change before it is known where it stands. */
export type RowChange = Omit<Change, 'resource' | 'source'>;

/** The subscribers of a resource have to load it again, because of changes that no row event reports. */
export function resetFor(resetReason: ResetReason): RowChange {
  const account = EVERY_ACCOUNT;
  return { op: 'truncate', account, before: null, after: null, unchanged: [], missing: [], resetReason };
}

/** A message of one row. */
export type RowMessage = Extract<PgOutputMessage, { readonly kind: 'insert' | 'update' | 'delete' }>;

/** A message with a new version of its row. */
type NewVersion = Exclude<RowMessage, { readonly kind: 'delete' }>;

/**
 * The changes that one row message stands for, in order: mostly one. An update that moves a row to another key or
 * another account is the delete of the old record and the insert of the new one: no account learns of the other's
 * row, and no record changes its identity. A version that the resource's `where` keeps back is as good as none: what comes to
 * fit is an insert, and what no longer fits a delete.
 */
export function rowChanges(
  table: CapturedTable,
  message: RowMessage,
  commitLsn: Lsn = 0n,
  made: MadeRecords = createMadeRecords(0),
): RowChange[] {
  const changes = changesOf(table, message, { commitLsn, made });
  if (table.owner.kind === 'parent' && message.kind !== 'delete') {
    const { values } = newRow(table, message);
    made.note(recordOf(table, values), (version) => accountOf(table, values, version, commitLsn));
  }
  return changes;
}

/** Of a row message: its transaction, and what that has written before. */
interface Place {
  readonly commitLsn: Lsn;
  readonly made: MadeRecords;
}

function changesOf(table: CapturedTable, message: RowMessage, place: Place): RowChange[] {
  const { commitLsn } = place;
  switch (message.kind) {
    case 'insert':
      return doesLeave(table, message) ? [inserted(table, newRow(table, message), commitLsn)] : [];
    case 'delete':
      return deleted(table, message.before, place);
    case 'update': {
      const row = newRow(table, message);
      const isIn = doesLeave(table, message);
      // It was not sent again, and the old version does not have it: whether the row leaves can't be known.
      if (isIn === undefined) return [resetFor('record_unknown')];
      // Without an old version PostgreSQL says that the identity, and so key and account, did not change.
      if (message.before === null) return sameIdentity(table, row, isIn, commitLsn);
      const before = oldRow(table, message.before);
      if (isRecordKnown(table, message.before) && isSameRecord(table, before.values, row.values, place)) {
        const wasIn = didLeave(table, message.before);
        if (wasIn && isIn) return [updated(table, before, row, commitLsn)];
      }
      return [...deleted(table, message.before, place), ...(isIn ? [inserted(table, row, commitLsn)] : [])];
    }
  }
}

/** Whether the new version leaves; what was not sent again is as it was. A value of later does not say it. */
function doesLeave({ filter }: CapturedTable, message: NewVersion): boolean | undefined {
  if (filter === undefined) return true;
  const { before, filled } = ofUpdate(message);
  return filter.matches((name) => {
    const column = filter.columns.get(name);
    if (column === undefined) return undefined;
    const isFilled = filled?.places.includes(column.tuplePlace) === true;
    const value = isFilled ? undefined : message.after[column.tuplePlace];
    if (value !== undefined || before === null) return value;
    // What is stored apart is never NULL.
    return before.kind === 'full' || column.isInIdentity
      ? (before.values[column.tuplePlace] ?? undefined)
      : undefined;
  });
}

/** Whether an old version that says what record it was was one that leaves. */
function didLeave({ filter }: CapturedTable, before: OldTuple): boolean {
  if (filter === undefined) return true;
  const result = filter.matches((name) => before.values[filter.columns.get(name)?.tuplePlace ?? -1]);
  // Reported as deleted where that is unknown: a receiver ignores the deletion of a record that it does not have.
  return result ?? true;
}

/**
 * Of an update that came without the old version. Whether that one left is known where the identity has the filter's columns,
 * since they did not change then. Where it lacks them, a record that does not leave is reported as deleted, by its key alone.
 */
function sameIdentity(table: CapturedTable, row: Row, isIn: boolean, commitLsn: Lsn): RowChange[] {
  if (isIn) return [updated(table, null, row, commitLsn)];
  const { filter, keyPlaces, ownerPlaces } = table;
  if ([...(filter?.columns.values() ?? [])].every(({ isInIdentity }) => isInIdentity)) return [];
  const isNamed = (place: number) => ownerPlaces.includes(place) || keyPlaces.includes(place);
  return [
    {
      op: 'delete',
      account: accountOf(table, row.values, 'after', commitLsn),
      before: row.values.map((value, place) => (isNamed(place) ? value : null)),
      after: null,
      unchanged: [],
      missing: row.values.flatMap((_, place) => (isNamed(place) ? [] : [nameOf(table, place)])),
    },
  ];
}

/** What only an update has. */
function ofUpdate(message: NewVersion): Pick<Extract<NewVersion, { kind: 'update' }>, 'before' | 'filled'> {
  return message.kind === 'update' ? message : { before: null };
}

interface Row {
  readonly values: (string | null)[];
  /** Columns whose value is not known. */
  readonly unknown: string[];
  readonly filled?: FilledColumns;
}

function newRow(table: CapturedTable, message: NewVersion): Row {
  const { before, filled } = ofUpdate(message);
  const unknown: string[] = [];
  const values = table.tuplePlaces.map((tuplePlace, place) => {
    const value = message.after[tuplePlace];
    if (value !== undefined) return value;
    // Stored apart and not sent again, because it did not change: so the old version has it, if it was sent.
    const isCarried = before?.kind === 'full' || (before !== null && table.isInIdentity[place] === true);
    const carried = isCarried ? before?.values[tuplePlace] : undefined;
    // What is stored apart is never NULL: one in its place says that the old version was not sent as a whole.
    if (carried != null) return carried;
    unknown.push(nameOf(table, place));
    return null;
  });
  if (filled === undefined) return { values, unknown };
  const columns = table.tuplePlaces.flatMap((tuplePlace, place) =>
    filled.places.includes(tuplePlace) ? [nameOf(table, place)] : [],
  );
  return { values, unknown, filled: { columns, lsn: filled.lsn } };
}

function oldRow(table: CapturedTable, before: OldTuple): Row {
  const unknown: string[] = [];
  const values = table.tuplePlaces.map((tuplePlace, place) => {
    const isCarried = before.kind === 'full' || table.isInIdentity[place] === true;
    const value = isCarried ? before.values[tuplePlace] : undefined;
    if (value !== undefined) return value;
    unknown.push(nameOf(table, place));
    return null;
  });
  return { values, unknown };
}

/**
 * Whether an old version says whose record it was. A partition has an identity of its own, yet its rows are sent under
 * that of their root: so from one that is not FULL comes what claims to be a whole row, and is empty but for its key.
 */
function isRecordKnown(table: CapturedTable, before: OldTuple): boolean {
  if (!table.isIdentitySufficient) return false;
  const isKey = (place: number) => table.keyPlaces.includes(place);
  if (before.kind === 'key' || table.ownerPlaces.every(isKey)) return true;
  return table.tuplePlaces.some((tuplePlace, place) => !isKey(place) && before.values[tuplePlace] != null);
}

function nameOf(table: CapturedTable, place: number): string {
  return table.rowType.columns[place]?.name ?? '';
}

type Values = readonly (string | null)[];

/**
 * An account is the same in all spellings that PostgreSQL takes as equal. A key is what files and events show, its text:
 * an update from `Ann` to `ANN` is a new record, so that a replica which compares texts keeps one of the two.
 */
function isSameRecord(table: CapturedTable, before: Values, after: Values, place: Place): boolean {
  return (
    formerAccountOf(table, before, place) === accountOf(table, after, 'after', place.commitLsn) &&
    table.keyPlaces.every((place) => before[place] === after[place])
  );
}

/** A row without an account is nobody's; it stays in the topic for those who read all of it. */
function accountOf(table: CapturedTable, values: Values, version: RowVersion, commitLsn: Lsn): string {
  const { owner, ownerPlaces } = table;
  if (owner.kind === 'shared') return EVERY_ACCOUNT;
  if (owner.kind === 'parent') {
    return owner.accountOf(
      ownerPlaces.map((place) => values[place] ?? null),
      version,
      commitLsn,
    );
  }
  const account = owner.accountText(values[ownerPlaces[0] ?? -1] ?? '');
  if (account === undefined)
    throw new Error(`the account of a row of ${table.rowType.resource} was not learned`);
  return account;
}

/** The account of an old version; undefined where nobody can say whose it was. */
function formerAccountOf(
  table: CapturedTable,
  values: Values,
  { commitLsn, made }: Place,
): string | undefined {
  const find = (version: RowVersion) => accountOf(table, values, version, commitLsn);
  return table.owner.kind === 'parent' ? made.accountOf(recordOf(table, values), find) : find('before');
}

function recordOf({ rowType, keyPlaces }: CapturedTable, values: Values): string {
  return JSON.stringify([rowType.resource, ...keyPlaces.map((place) => values[place])]);
}

/** Texts in the message's account columns that PostgreSQL has to be asked about before it becomes changes. */
export function unknownAccounts(table: CapturedTable, message: RowMessage): string[] {
  const { owner } = table;
  if (owner.kind !== 'column') return [];
  const tuplePlace = table.tuplePlaces[table.ownerPlaces[0] ?? 0] ?? 0;
  const before = message.kind === 'insert' ? undefined : message.before?.values[tuplePlace];
  const after = message.kind === 'delete' ? undefined : message.after[tuplePlace];
  return [before, after].filter((text) => text != null && owner.accountText(text) === undefined) as string[];
}

function inserted(table: CapturedTable, { values, unknown, ...filled }: Row, commitLsn: Lsn): RowChange {
  const account = accountOf(table, values, 'after', commitLsn);
  return { op: 'insert', account, before: null, after: values, unchanged: unknown, missing: [], ...filled };
}

function updated(table: CapturedTable, before: Row | null, after: Row, commitLsn: Lsn): RowChange {
  const { values, unknown, ...filled } = after;
  return {
    op: 'update',
    account: accountOf(table, values, 'after', commitLsn),
    before: before?.values ?? null,
    after: values,
    unchanged: unknown,
    missing: before?.unknown ?? [],
    ...filled,
  };
}

/** None for a record that did not leave. */
function deleted(table: CapturedTable, before: OldTuple, place: Place): RowChange[] {
  if (!isRecordKnown(table, before)) return [resetFor('record_unknown')];
  if (!didLeave(table, before)) return [];
  const { values, unknown } = oldRow(table, before);
  const account = formerAccountOf(table, values, place);
  if (account === undefined)
    return place.made.isResetDue(table.rowType.resource) ? [resetFor('parent_moved')] : [];
  return [
    {
      op: 'delete',
      account,
      before: values,
      after: null,
      unchanged: [],
      missing: unknown,
    },
  ];
}
