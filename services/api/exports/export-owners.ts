import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** @returns undefined for an export that is not there; an `accountId` of null for one of all accounts */
export type ExportOwners = (exportId: string) => Promise<{ readonly accountId: string | null } | undefined>;

/** Exports remembered: the oldest is forgotten first. */
const MAX_REMEMBERED = 10_000;

/** Whose an export is never changes, so it is asked once, and a link that is used very often costs no query before its account's turn. */
export function createExportOwners(db: Queryable): ExportOwners {
  const remembered = new Map<string, { accountId: string | null }>();
  return async (exportId) => {
    const known = remembered.get(exportId);
    if (known !== undefined) return known;
    const { rows } = await db.query<{ accountId: string | null }>(
      'select account_id as "accountId" from exports where id = $1',
      [exportId],
    );
    const [owner] = rows;
    if (owner === undefined) return undefined;
    const [oldest] = remembered.keys();
    if (oldest !== undefined && remembered.size >= MAX_REMEMBERED) remembered.delete(oldest);
    remembered.set(exportId, owner);
    return owner;
  };
}
