import { DatabaseError } from 'pg';
import { whereSql } from '../../../shared/catalog/where-sql.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import { parseLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { quoteIdent, quoteTable } from '../../../shared/postgres/quote.ts';
import { exceedsRowLimit } from '../../../shared/postgres/size-limit.ts';
import { WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import { MAX_VALUE_BYTES, type PgOutputMessage, type Tuple } from '../replication/pgoutput.ts';
import type { CapturedTable } from './captured-table.ts';

export type UpdateMessage = Extract<PgOutputMessage, { readonly kind: 'update' }>;

/**
 * Whether a new record would lack a value. With a key as replica identity, an update that moves a row to another key
 * sends neither the old version nor large values that did not change. For a record that stays, the customer has those
 * values. That is not so if it was soft-deleted until now, which a key identity may not show either.
 */
export function lacksValues(
  { before, after }: UpdateMessage,
  unknownDeletedPlace: number | undefined,
): boolean {
  if (before?.kind === 'full' || !after.includes(undefined)) return false;
  const mayBeRestored = unknownDeletedPlace !== undefined && after[unknownDeletedPlace] === null;
  return before !== null || mayBeRestored;
}

export interface FillDeps {
  readonly source: Queryable;
  /** Of the message's transaction. */
  readonly xid: bigint;
  /** Waits briefly for the transaction to become visible. @throws when the session has ended */
  pause(): Promise<void>;
}

/** A streamed transaction stays invisible, so the values of its rows can't be read. */
export class CommitStalledError extends Error {
  override readonly name = 'CommitStalledError';

  constructor(xid: bigint, resource: string) {
    super(
      `transaction ${xid} is committed and still invisible after ${MAX_PAUSES} checks, so large values of ${resource} can't be read: ` +
        'a synchronous standby does not respond. Start it, or take it out of synchronous_standby_names',
    );
  }
}

/** About a minute. Then the session ends and a new one starts, which an operator sees. */
const MAX_PAUSES = 1_000;

/**
 * Fills in the missing values from the row as it is in the source now.
 *
 * - They are read once the transaction is visible. Before that, the row with this key may be another one, or have
 *   older values.
 *
 * - A later change of the row may be included. The feed still delivers that change, with the same values. `filled`
 *   says how late the values may be, for readers that rebuild a past state from events.
 *
 * - Everything that was read is durable when this returns. Otherwise a crash could undo a change that the row shows,
 *   or its removal, and no event would correct what was published.
 *
 * A row that is gone is left as it is, because its deletion follows in the feed; so is a row of a table altered since.
 * Values too large for a text are marked as unreadable, like those of the stream.
 *
 * @throws CommitStalledError
 */
export async function fillUnchanged(
  resource: Resource,
  table: CapturedTable,
  message: UpdateMessage,
  { source, xid, pause }: FillDeps,
): Promise<UpdateMessage> {
  const places = table.tuplePlaces.flatMap((tuplePlace, place) =>
    message.after[tuplePlace] === undefined && table.isInIdentity[place] !== true ? [place] : [],
  );
  if (places.length === 0) return message;
  const { text, values } = readQuery(resource, table, message, places, xid);
  const tuplePlaces = places.map((place) => table.tuplePlaces[place] ?? 0);
  for (let pauses = 0; ; pauses += 1) {
    const row = await readRow(source, text, values);
    if (row === undefined) return message;
    if (row === 'too large') return withoutTexts(message, tuplePlaces);
    if (row.is_visible !== 'true') {
      if (pauses === MAX_PAUSES) throw new CommitStalledError(xid, resource.name);
      await pause();
      continue;
    }
    if (row.is_there !== 'true') return message;
    if (row.is_large === 'true') return withoutTexts(message, tuplePlaces);
    const after: Tuple[number][] = [...message.after];
    for (const [at, tuplePlace] of tuplePlaces.entries()) after[tuplePlace] = row[`v${at}`];
    return { ...message, after, filled: { places: tuplePlaces, lsn: parseLsn(row.lsn ?? '') } };
  }
}

function withoutTexts(message: UpdateMessage, places: readonly number[]): UpdateMessage {
  const after: Tuple[number][] = [...message.after];
  for (const place of places) after[place] = '';
  return { ...message, after, unreadable: { places, reason: `it has more than ${MAX_VALUE_BYTES} bytes` } };
}

/**
 * One statement has one snapshot, which shows the row and whether the transaction is visible. The message that it
 * writes has a position after everything the snapshot sees, and its commit makes that durable. It does not wait for a
 * standby.
 */
function readQuery(
  resource: Resource,
  table: CapturedTable,
  message: UpdateMessage,
  places: readonly number[],
  xid: bigint,
): { text: string; values: (string | null)[] } {
  const nameOf = (place: number) => quoteIdent(table.rowType.columns[place]?.name ?? '');
  // If the record belongs to another account by now, or is excluded, its present values must not be shown.
  const sameRecord = [...new Set([...table.keyPlaces, ...table.ownerPlaces])];
  const values = sameRecord.map((place) => keyText(table, message, place));
  const conditions = sameRecord.map((place, at) => `${nameOf(place)} = $${at + 1}`);
  conditions.push(...whereSql(resource, quoteIdent, (text) => `$${values.push(text)}`));
  const isLarge = (place: number) => `coalesce(octet_length(${nameOf(place)}::text), 0) > ${MAX_VALUE_BYTES}`;
  const large = `(${places.map(isLarge).join(' or ')})::text as is_large`;
  // A larger text would end this process.
  const columns = places
    .map((place, at) => `case when not ${isLarge(place)} then ${nameOf(place)} end as v${at}`)
    .join(', ');
  const visible = `pg_visible_in_snapshot($${values.push(xid.toString())}::xid8, pg_current_snapshot())`;
  return {
    text: `select r.*, s.is_visible::text as is_visible,
  set_config('synchronous_commit', 'local', true) as synchronous_commit,
  case when s.is_visible then pg_logical_emit_message(true, '${WAL_MESSAGES.heartbeat}', '')::text end as lsn
from (select ${visible} as is_visible) s
left join (select 'true' as is_there, ${large}, ${columns} from ${quoteTable(resource.table)} where ${conditions.join(' and ')}) r on true`,
    values,
  };
}

/** A key column that is itself stored out of line is sent only with the old version, because it did not change. */
function keyText(table: CapturedTable, { before, after }: UpdateMessage, place: number): string | null {
  const tuplePlace = table.tuplePlaces[place] ?? 0;
  const sent = after[tuplePlace];
  if (sent !== undefined) return sent;
  return table.isInIdentity[place] === true ? (before?.values[tuplePlace] ?? null) : null;
}

/**
 * SQLSTATE classes of a statement whose table has changed since: syntax error or access rule violation, and data
 * exceptions. Also "feature not supported": a key of a composite type can't be looked up by its text.
 */
const CHANGED_SQLSTATE_CLASSES = ['42', '22', '0A'];

async function readRow(
  source: Queryable,
  text: string,
  values: readonly (string | null)[],
): Promise<Record<string, string | null> | 'too large' | undefined> {
  try {
    const { rows } = await source.query<Record<string, string | null>>(text, [...values]);
    return rows[0];
  } catch (error) {
    const isChanged =
      error instanceof DatabaseError && CHANGED_SQLSTATE_CLASSES.includes(error.code?.slice(0, 2) ?? '');
    if (isChanged) return undefined;
    if (exceedsRowLimit(error)) return 'too large';
    throw error;
  }
}
