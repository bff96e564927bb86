import { parseTableForm } from '../../../shared/catalog/table-form.ts';
import {
  checkNotRestored,
  isBehindMark,
  markValues,
  type StoreMark,
} from '../../../shared/control/restored-store.ts';
import { formatLsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { TableRecord } from '../../../shared/kafka/capture-tables.ts';
import type { CaptureStateMessage, CaptureTable } from '../../../shared/kafka/messages.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { SEALS_CHANNEL } from '../../../shared/protocol/names.ts';

/**
 * Positions of one database system only grow here, so late and repeated messages change nothing. Another system
 * replaces them, because its WAL positions can't be compared. Capture's count also only grows within one chain: the
 * clocks of two capture processes don't say which count is later. Nothing is stored if the store is older than the
 * mark, `$9`.
 */
const STORE_FEED_STATE = `
  insert into feed_state as f (settled_lsn, passed_lsn, system_id, timeline, updated_at, chain_id, chain_seqs, last_commit_lsn)
  select $1::pg_lsn, $2::pg_lsn, $3::text, $4::int, to_timestamp($5::double precision / 1000), $6, $7::bigint[], $8::pg_lsn
   where $9::text is null or exists (select from feed_state where not (${isBehindMark(9)}))
  on conflict (id) do update set
    settled_lsn = case when f.system_id = excluded.system_id
                       then greatest(f.settled_lsn, excluded.settled_lsn) else excluded.settled_lsn end,
    passed_lsn  = case when f.system_id = excluded.system_id
                       then greatest(f.passed_lsn, excluded.passed_lsn) else excluded.passed_lsn end,
    last_commit_lsn = case when f.system_id = excluded.system_id
                       then greatest(f.last_commit_lsn, excluded.last_commit_lsn) else excluded.last_commit_lsn end,
    system_id   = excluded.system_id,
    timeline    = case when f.system_id = excluded.system_id and excluded.passed_lsn < f.passed_lsn
                       then f.timeline else excluded.timeline end,
    chain_id    = greatest(f.chain_id collate "C", excluded.chain_id),
    chain_seqs  = case when f.chain_id = excluded.chain_id
                       then (select array_agg(greatest(known, said, 0) order by partition)
                               from unnest(f.chain_seqs, excluded.chain_seqs)
                                    with ordinality as each (known, said, partition))
                       when excluded.chain_id is null or excluded.chain_id collate "C" < f.chain_id
                       then f.chain_seqs else excluded.chain_seqs end,
    updated_at  = greatest(f.updated_at, excluded.updated_at)
  where f.system_id = excluded.system_id or excluded.updated_at > f.updated_at
  returning f.system_id, f.timeline, f.passed_lsn::text,
    floor(extract(epoch from f.updated_at) * 1000)::text as updated_at_ms`;

/**
 * @param stored the latest state known to be in the store
 * @returns the store's state now; undefined when the message is from another server and no later than the stored state
 * @throws StoreOlderError when the store is older than `stored`
 */
export async function storeFeedState(
  db: Queryable,
  state: CaptureStateMessage & { at: number },
  stored?: StoreMark,
): Promise<StoreMark | undefined> {
  const { rows } = await db.query<{
    system_id: string;
    timeline: number;
    passed_lsn: string;
    updated_at_ms: string;
  }>({
    name: 'store_feed_state',
    text: STORE_FEED_STATE,
    values: [
      formatLsn(BigInt(state.settled_lsn)),
      formatLsn(BigInt(state.passed_lsn)),
      state.system_id,
      state.timeline,
      state.at,
      state.chain?.id ?? null,
      state.chain?.seqs ?? null,
      formatLsn(BigInt(state.last_commit_lsn)),
      ...markValues(stored),
    ],
  });
  const [now] = rows;
  if (now !== undefined) {
    return {
      systemId: now.system_id,
      timeline: now.timeline,
      passedLsn: parseLsn(now.passed_lsn),
      updatedAtMs: Number(now.updated_at_ms),
    };
  }
  if (stored !== undefined) await checkNotRestored(db, stored);
  return undefined;
}

/** A seal counts only for the run that sent it. Each run has a token of its own. */
const SEAL_EXPORT = `
  update exports set sealed_lsn = $3
   where id = $1 and seal_token = $2 and status = 'running' and sealed_lsn is null
  returning pg_notify('${SEALS_CHANNEL}', id)`;

export async function sealExport(
  db: Queryable,
  seal: { job_id: string; token: string; commit_lsn: number },
): Promise<void> {
  await db.query({
    name: 'seal_export',
    text: SEAL_EXPORT,
    values: [seal.job_id, seal.token, formatLsn(BigInt(seal.commit_lsn))],
  });
}

/** States from an earlier position than the stored one change nothing. */
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

/** Stores which resources are set aside, whenever that differs from what was stored last. States must come in order. */
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

/** States from an earlier position than the stored one change nothing. */
const STORE_CATALOG = `
  with stated as (
    select * from unnest($1::text[], $2::text[], $5::text[]) as s (resource, fingerprint, columns)
     where not exists (select from feed_state f where f.system_id = $4 and f.passed_lsn > $3::pg_lsn)
  ), gone as (
    delete from feed_catalog c
     where exists (select from stated) and not exists (select from stated s where s.resource = c.resource)
  )
  insert into feed_catalog as c (resource, fingerprint, since_lsn, columns, columns_since)
  select resource, fingerprint, case when exists (select from feed_catalog) then $3::pg_lsn else '0/0' end, columns, $6::pg_lsn
  from stated
  on conflict (resource) do update set
    fingerprint = excluded.fingerprint,
    since_lsn = case when c.fingerprint = excluded.fingerprint then c.since_lsn else excluded.since_lsn end,
    columns = excluded.columns,
    columns_since = case when c.columns is not distinct from excluded.columns
                         then c.columns_since else excluded.columns_since end
  where c.fingerprint <> excluded.fingerprint or c.columns is distinct from excluded.columns`;

/**
 * Stores the catalog and the columns that capture uses, whenever they differ from what was stored last. States must
 * come in order, each with the records that it refers to.
 */
export function createCatalogStore(
  db: Queryable,
): (state: CaptureStateMessage, records?: readonly (TableRecord | undefined)[]) => Promise<void> {
  let stored: readonly CaptureTable[] = [];
  let storedRecords: readonly (TableRecord | undefined)[] | undefined;
  /** Columns change somewhere between two states, so the position of the earlier state is the lower bound. */
  let passedBefore = 0;
  return async (state, records) => {
    const { passed_lsn: passedLsn, system_id: systemId } = state;
    // A record is gone only because a later one has replaced it, and a later state refers to that one.
    if (records?.includes(undefined) === true) return;
    // Each Kafka transaction has a state, and nearly all of them refer to the same records.
    if (records !== undefined && records === storedRecords) {
      passedBefore = passedLsn;
      return;
    }
    const tables =
      records?.flatMap((record) => record?.tables ?? []).filter(isOfCatalog) ?? tablesOfEarlier(state);
    // A much earlier version of capture doesn't say.
    if (tables.length === 0) return;
    const columnsSince = passedBefore;
    passedBefore = passedLsn;
    if (isSameList(tables, stored)) return;
    await db.query({
      name: 'store_catalog',
      text: STORE_CATALOG,
      values: [
        tables.map(({ resource }) => resource),
        tables.map(({ fingerprint }) => fingerprint),
        formatLsn(BigInt(passedLsn)),
        systemId,
        tables.map(({ identity }) => parseTableForm(identity ?? '')?.columns ?? null),
        formatLsn(BigInt(columnsSince)),
      ],
    });
    stored = tables;
    storedRecords = records;
  };
}

function isOfCatalog({ fingerprint }: CaptureTable): boolean {
  return fingerprint !== null;
}

/** Of a capture of an earlier version, which has them in the state itself. */
function tablesOfEarlier({ catalog = [], tables = [] }: CaptureStateMessage): CaptureTable[] {
  const identities = new Map(tables.map(({ resource, identity }) => [resource, identity]));
  return catalog.map(({ resource, fingerprint }) => ({
    resource,
    fingerprint,
    identity: identities.get(resource) ?? null,
  }));
}

function isSameList(tables: readonly CaptureTable[], others: readonly CaptureTable[]): boolean {
  return (
    tables.length === others.length &&
    tables.every(({ resource, fingerprint, identity }, place) => {
      const other = others[place];
      return other?.resource === resource && other.fingerprint === fingerprint && other.identity === identity;
    })
  );
}
