import { formatLsn } from '../../../shared/domain/lsn.ts';
import type { CaptureStateMessage } from '../../../shared/kafka/messages.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** What is said of an earlier position than one that is known already changes nothing. */
const STORE_SET_ASIDES = `
  with stated as (
    select * from unnest($1::text[], $2::pg_lsn[], $3::timestamptz[], $4::text[], $5::text[])
      as s (resource, since_lsn, since_at, reason, detail)
     where not exists (select from feed_state f where f.system_id = $7 and f.passed_lsn > $6::pg_lsn)
  ), ended as (
    update feed_set_aside a set until_lsn = $6::pg_lsn, until_at = now()
     where a.until_lsn is null
       and not exists (select from feed_state f where f.system_id = $7 and f.passed_lsn > $6::pg_lsn)
       and not exists (select from stated s where s.resource = a.resource and s.since_lsn = a.since_lsn)
  )
  insert into feed_set_aside (resource, since_lsn, since_at, reason, detail)
  select resource, since_lsn, since_at, reason, detail from stated
  on conflict (resource, since_lsn) do nothing`;

/** Stores which resources are set aside whenever that differs from what was stored last. States have to come in their order. */
export function createSetAsideStore(db: Queryable): (state: CaptureStateMessage) => Promise<void> {
  let stored: string | undefined;
  return async ({ set_aside: asides = [], passed_lsn: passedLsn, system_id: systemId }) => {
    const said = JSON.stringify(asides.map(({ resource, commit_lsn: lsn }) => [resource, lsn]));
    if (said === stored) return;
    await db.query({
      name: 'store_set_asides',
      text: STORE_SET_ASIDES,
      values: [
        asides.map(({ resource }) => resource),
        asides.map(({ commit_lsn: lsn }) => formatLsn(BigInt(lsn))),
        asides.map(({ since }) => new Date(since).toISOString()),
        asides.map(({ reason }) => reason),
        asides.map(({ detail }) => detail),
        formatLsn(BigInt(passedLsn)),
        systemId,
      ],
    });
    stored = said;
  };
}
