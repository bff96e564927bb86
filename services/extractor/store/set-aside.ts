import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** The resources whose changes are passed over at present. */
export async function findSetAside(db: Queryable): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ resource: string }>(
    'select resource from feed_set_aside where until_lsn is null',
  );
  return new Set(rows.map(({ resource }) => resource));
}
