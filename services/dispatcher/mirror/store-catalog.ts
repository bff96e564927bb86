import { formatLsn } from '../../../shared/domain/lsn.ts';
import type { CaptureStateMessage } from '../../../shared/kafka/messages.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** What is said of an earlier position than one that is known already changes nothing. */
const STORE_CATALOG = `
  with stated as (
    select * from unnest($1::text[], $2::text[]) as s (resource, fingerprint)
     where not exists (select from feed_state f where f.system_id = $4 and f.passed_lsn > $3::pg_lsn)
  ), gone as (
    delete from feed_catalog c
     where exists (select from stated) and not exists (select from stated s where s.resource = c.resource)
  )
  insert into feed_catalog as c (resource, fingerprint, since_lsn)
  select resource, fingerprint, case when exists (select from feed_catalog) then $3::pg_lsn else '0/0' end
  from stated
  on conflict (resource) do update set fingerprint = excluded.fingerprint, since_lsn = excluded.since_lsn
  where c.fingerprint <> excluded.fingerprint`;

/** Stores by what catalog capture writes whenever that differs from what was stored last. States have to come in their order. */
export function createCatalogStore(db: Queryable): (state: CaptureStateMessage) => Promise<void> {
  let stored: string | undefined;
  return async ({ catalog, passed_lsn: passedLsn, system_id: systemId }) => {
    // A capture of an earlier version does not say.
    if (catalog === undefined || catalog.length === 0) return;
    const said = JSON.stringify(catalog);
    if (said === stored) return;
    await db.query({
      name: 'store_catalog',
      text: STORE_CATALOG,
      values: [
        catalog.map(({ resource }) => resource),
        catalog.map(({ fingerprint }) => fingerprint),
        formatLsn(BigInt(passedLsn)),
        systemId,
      ],
    });
    stored = said;
  };
}
