import type { Change, FilledColumns, ResetReason } from '../../../shared/domain/change.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import { EVERY_ACCOUNT } from '../../../shared/protocol/headers.ts';
import type { OldTuple, PgOutputMessage } from '../replication/pgoutput.ts';
import type { CapturedTable, RowVersion } from './captured-table.ts';
import { createMadeRecords, type MadeRecords } from './made-records.ts';

/** A change without its place in the feed. */
export type RowChange = Omit<Change, 'resource' | 'source'>;

/** A reset: subscribers have to load the resource again, because no row event reports some changes. */
export function resetFor(resetReason: ResetReason): RowChange {
  const account = EVERY_ACCOUNT;
  return { op: 'truncate', account, before: null, after: null, unchanged: [], missing: [], resetReason };
}

/** A message about one row. */
export type RowMessage = Extract<PgOutputMessage, { readonly kind: 'insert' | 'update' | 'delete' }>;

/** The message with unknown values in place of nulls that a partition may have sent for values that its identity lacks. */
function withoutUnsent(table: CapturedTable, message: RowMessage): RowMessage {
  const { unsentPlaces } = table;
  if (unsentPlaces === undefined || message.kind === 'insert' || message.before === null) return message;
  const values = message.before.values.map((value, place) =>
    value === null && unsentPlaces.has(place) ? undefined : value,
  );
  return { ...message, before: { ...message.before, values } } as RowMessage;
}

/**
 * Whether the message is an update that may have moved its row to another account, or out of what is published, without a
 * word: the identity of the row's partition lacks a column that decides it.
 */
export function isMoveUnsent(table: CapturedTable, message: PgOutputMessage): boolean {
  const { unsentPlaces, tuplePlaces, keyPlaces, ownerPlaces, filter } = table;
  if (unsentPlaces === undefined || message.kind !== 'update' || message.before !== null) return false;
  const needed = [
    ...[...keyPlaces, ...ownerPlaces].map((place) => tuplePlaces[place] ?? -1),
    ...[...(filter?.columns.values() ?? [])].map(({ tuplePlace }) => tuplePlace),
  ];
  return needed.some((place) => unsentPlaces.has(place));
}

/** A message with a new version of its row. */
type NewVersion = Exclude<RowMessage, { readonly kind: 'delete' }>;

/**
 * The changes that one row message stands for, in order; mostly one. An update that moves a row to another key or
 * account is a delete of the old record and an insert of the new one: no account sees another's row, and no record
 * changes its identity. A version that `where` excludes counts as absent: a row that starts to match is an insert, and
 * one that stops matching is a delete.
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

/** The transaction of a row message, and what that has written before. */
interface Place {
  readonly commitLsn: Lsn;
  readonly made: MadeRecords;
}

function changesOf(table: CapturedTable, sent: RowMessage, place: Place): RowChange[] {
  const { commitLsn } = place;
  const message = withoutUnsent(table, sent);
  switch (message.kind) {
    case 'insert':
      return doesLeave(table, message) ? [inserted(table, newRow(table, message), commitLsn)] : [];
    case 'delete':
      return deleted(table, message.before, place);
    case 'update': {
      const row = newRow(table, message);
      const isIn = doesLeave(table, message);
      // The value was not sent again and the old version lacks it, so it is unknown whether the row is published.
      if (isIn === undefined) return [resetFor('record_unknown')];
      // Without an old version, PostgreSQL guarantees that the identity did not change, and so neither key nor account.
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

/**
 * Whether the new version is published. Values that were not sent did not change. Filled-in values may be later and
 * don't count.
 */
function doesLeave({ filter }: CapturedTable, message: NewVersion): boolean | undefined {
  if (filter === undefined) return true;
  const { before, filled } = ofUpdate(message);
  return filter.matches((name) => {
    const column = filter.columns.get(name);
    if (column === undefined) return undefined;
    const isFilled = filled?.places.includes(column.tuplePlace) === true;
    const value = isFilled ? undefined : message.after[column.tuplePlace];
    if (value !== undefined || before === null) return value;
    // A value stored out of line is never NULL.
    return before.kind === 'full' || column.isInIdentity
      ? (before.values[column.tuplePlace] ?? undefined)
      : undefined;
  });
}

/** Whether an old version that identifies its record was published. */
function didLeave({ filter }: CapturedTable, before: OldTuple): boolean {
  if (filter === undefined) return true;
  const result = filter.matches((name) => before.values[filter.columns.get(name)?.tuplePlace ?? -1]);
  // If unknown, it is reported as deleted: receivers ignore the deletion of a record that they don't have.
  return result ?? true;
}

/**
 * The changes of an update without the old version. If the identity includes the filter's columns they did not change,
 * so it is known whether the old version was published. Otherwise a record that is not published now is reported as
 * deleted, by its key alone.
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

/** The fields that only an update has. */
function ofUpdate(message: NewVersion): Pick<Extract<NewVersion, { kind: 'update' }>, 'before' | 'filled'> {
  return message.kind === 'update' ? message : { before: null };
}

interface Row {
  readonly values: (string | null)[];
  /** Columns with an unknown value. */
  readonly unknown: string[];
  readonly filled?: FilledColumns;
}

function newRow(table: CapturedTable, message: NewVersion): Row {
  const { before, filled } = ofUpdate(message);
  const unknown: string[] = [];
  const values = table.tuplePlaces.map((tuplePlace, place) => {
    const value = message.after[tuplePlace];
    if (value !== undefined) return value;
    // Stored out of line and not sent again, because it did not change: the old version has it, if that was sent.
    const isCarried = before?.kind === 'full' || (before !== null && table.isInIdentity[place] === true);
    const carried = isCarried ? before?.values[tuplePlace] : undefined;
    // A value stored out of line is never NULL. A null in its place shows that the old version was not sent as a whole.
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
 * Whether an old version identifies its record's account. A partition has a replica identity of its own, yet its rows
 * are sent as those of its root. So a partition without FULL sends what looks like a whole row, but is empty except for
 * the key.
 */
function isRecordKnown(table: CapturedTable, before: OldTuple): boolean {
  if (!table.isIdentitySufficient) return false;
  const isSent = (place: number) => before.values[table.tuplePlaces[place] ?? -1] !== undefined;
  if (![...table.keyPlaces, ...table.ownerPlaces].every(isSent)) return false;
  const isKey = (place: number) => table.keyPlaces.includes(place);
  if (before.kind === 'key' || table.ownerPlaces.every(isKey)) return true;
  return table.tuplePlaces.some((tuplePlace, place) => !isKey(place) && before.values[tuplePlace] != null);
}

function nameOf(table: CapturedTable, place: number): string {
  return table.rowType.columns[place]?.name ?? '';
}

type Values = readonly (string | null)[];

/**
 * Accounts that PostgreSQL treats as equal are the same, however spelled. A record's identity is the text of its key,
 * as in files and events: an update from `Ann` to `ANN` is a new record, so that a replica which compares texts keeps
 * only one.
 */
function isSameRecord(table: CapturedTable, before: Values, after: Values, place: Place): boolean {
  return (
    formerAccountOf(table, before, place) === accountOf(table, after, 'after', place.commitLsn) &&
    table.keyPlaces.every((place) => before[place] === after[place])
  );
}

/** A row without an account belongs to nobody. It stays in the topic for readers of the whole topic. */
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

/** The account of an old version; undefined when it can't be known. */
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

/** Texts in the message's account columns whose canonical form has to be queried before the message becomes changes. */
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

/** Empty for a record that was not published. */
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
