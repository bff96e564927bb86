import type { Queryable } from '../postgres/queryable.ts';
import { ADVISORY_LOCKS } from './advisory-locks.ts';

export interface OutboxRow {
  id: string;
  topic: 'commands' | 'jobs';
  key: string;
  type: string;
  payload: unknown;
  created_at: Date;
}

/**
 * Reads the oldest rows. Whoever reads holds the relay's lock until its transaction ends, so that what belongs to one job
 * reaches Kafka in the order it was written; another reader meanwhile gets nothing.
 */
export async function readOutbox(db: Queryable, limit: number): Promise<OutboxRow[]> {
  const { rows: locked } = await db.query<{ held: boolean }>('select pg_try_advisory_xact_lock($1) as held', [
    ADVISORY_LOCKS.relayOutbox,
  ]);
  if (locked[0]?.held !== true) return [];
  // `id` alone would mean the text that is returned, in which 10 comes before 9.
  const { rows } = await db.query<OutboxRow>({
    name: 'read_outbox',
    text: 'select id::text, topic, key, type, payload, created_at from outbox order by outbox.id limit $1',
    values: [limit],
  });
  return rows;
}

export async function deleteOutbox(db: Queryable, ids: readonly string[]): Promise<void> {
  await db.query({
    name: 'delete_outbox',
    text: 'delete from outbox where id = any ($1::bigint[])',
    values: [ids],
  });
}
