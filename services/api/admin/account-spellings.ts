import { DatabaseError } from 'pg';
import type { Queryable } from '../../../shared/postgres/queryable.ts';

export interface SpelledAccount {
  readonly id: string;
  readonly source_id: string;
}

/** By ID, from behind `afterId` on; without those that are known to be twins. */
export async function listSpellings(
  db: Queryable,
  afterId: string,
  limit: number,
): Promise<SpelledAccount[]> {
  const { rows } = await db.query<SpelledAccount>(
    'select id, source_id from accounts where id > $1 and twin_of is null order by id limit $2',
    [afterId, limit],
  );
  return rows;
}

const UNIQUE_VIOLATION = '23505';

/**
 * Gives the account its text. What was noted of the recording of its changes does not hold any more, and none of its exports may be
 * gone on from: the events since then are not all there.
 *
 * @returns false when another account has the text
 */
export async function respell(
  db: Queryable,
  { id, source_id }: SpelledAccount,
  text: string,
): Promise<boolean> {
  try {
    await db.query(
      `update accounts set source_id = $3, respelled_from = source_id, recorded_from_lsn = null, recorded_from_at = null
       where id = $1 and source_id = $2`,
      [id, source_id, text],
    );
    return true;
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.code !== UNIQUE_VIOLATION) throw error;
    await db.query(
      'update accounts set twin_of = (select id from accounts where source_id = $2) where id = $1',
      [id, text],
    );
    return false;
  }
}

/** Accounts whose subscribers are not told yet. */
export async function listRespelled(db: Queryable): Promise<SpelledAccount[]> {
  const { rows } = await db.query<SpelledAccount>(
    'select id, source_id from accounts where respelled_from is not null order by id limit 1000',
  );
  return rows;
}

export async function noteTold(db: Queryable, id: string): Promise<void> {
  await db.query('update accounts set respelled_from = null where id = $1', [id]);
}
