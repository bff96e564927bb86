import { DatabaseError } from 'pg';
import { whereSql } from '../../../shared/catalog/where-sql.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { quoteIdent, quoteTable } from '../../../shared/postgres/quote.ts';
import type { PgOutputMessage, Tuple } from '../replication/pgoutput.ts';
import type { CapturedTable } from './captured-table.ts';

export type UpdateMessage = Extract<PgOutputMessage, { readonly kind: 'update' }>;

/**
 * Whether a new record would lack a value: under a key identity, an update that moves a row to another key sends neither
 * the old version nor the large values that stayed. Of a record that stays, the customer has them; unless it was soft-deleted
 * until now, which a key identity may not tell either.
 */
export function lacksValues(
  { before, after }: UpdateMessage,
  unknownDeletedPlace: number | undefined,
): boolean {
  if (before?.kind === 'full' || !after.includes(undefined)) return false;
  const mayBeRestored = unknownDeletedPlace !== undefined && after[unknownDeletedPlace] === null;
  return before !== null || mayBeRestored;
}

/**
 * The message with those values as the row has them in the source now. A later change of the row may be among them:
 * that one is still to come by the feed, and says the same. A row that is not there any more is on its way to be
 * deleted in the feed too, and is left as it is; so is one of a table that has been altered since.
 */
export async function fillUnchanged(
  source: Queryable,
  resource: Resource,
  table: CapturedTable,
  message: UpdateMessage,
): Promise<UpdateMessage> {
  const places = table.tuplePlaces.flatMap((tuplePlace, place) =>
    message.after[tuplePlace] === undefined && table.isInIdentity[place] !== true ? [place] : [],
  );
  const nameOf = (place: number) => quoteIdent(table.rowType.columns[place]?.name ?? '');
  if (places.length === 0) return message;
  const columns = places.map((place, at) => `${nameOf(place)} as v${at}`).join(', ');
  // What has become another account's since, or is kept back now, must not show what it has there.
  const sameRecord = [...new Set([...table.keyPlaces, ...table.ownerPlaces])];
  const key = sameRecord.map((place, at) => `${nameOf(place)} = $${at + 1}`).join(' and ');
  const values = sameRecord.map((place) => keyText(table, message, place));
  const where = whereSql(resource, quoteIdent, (text) => `$${values.push(text)}`);
  const row = await readRow(
    source,
    `select ${columns} from ${quoteTable(resource.table)} where ${[key, ...where].join(' and ')}`,
    values,
  );
  if (row === undefined) return message;
  const after: Tuple[number][] = [...message.after];
  for (const [at, place] of places.entries()) after[table.tuplePlaces[place] ?? 0] = row[`v${at}`];
  return { ...message, after };
}

/** A key column that is stored apart itself is sent once only, with the old version, because it did not change. */
function keyText(table: CapturedTable, { before, after }: UpdateMessage, place: number): string | null {
  const tuplePlace = table.tuplePlaces[place] ?? 0;
  const sent = after[tuplePlace];
  if (sent !== undefined) return sent;
  return table.isInIdentity[place] === true ? (before?.values[tuplePlace] ?? null) : null;
}

/**
 * Syntax error or access rule violation, and data exceptions: what a statement gets whose table has changed since. And
 * "feature not supported": a key of a composite type can't be looked up by its text.
 */
const CHANGED_SQLSTATE_CLASSES = ['42', '22', '0A'];

async function readRow(
  source: Queryable,
  text: string,
  values: readonly (string | null)[],
): Promise<Record<string, string | null> | undefined> {
  try {
    const { rows } = await source.query<Record<string, string | null>>(text, [...values]);
    return rows[0];
  } catch (error) {
    const isChanged =
      error instanceof DatabaseError && CHANGED_SQLSTATE_CLASSES.includes(error.code?.slice(0, 2) ?? '');
    if (isChanged) return undefined;
    throw error;
  }
}
