import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** Seconds since the feed last moved, by the control store's clock. Undefined before the feed ever ran. */
export async function findFeedAge(db: Queryable): Promise<number | undefined> {
  const { rows } = await db.query<{ seconds: number }>(
    'select greatest(0, extract(epoch from clock_timestamp() - updated_at))::float8 as seconds from feed_state',
  );
  return rows[0]?.seconds;
}
