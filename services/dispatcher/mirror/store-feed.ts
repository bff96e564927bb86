import { formatLsn } from '../../../shared/domain/lsn.ts';
import type { CaptureStateMessage } from '../../../shared/kafka/messages.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';

/**
 * Positions of one database system only grow here, whatever comes late or twice; another system starts anew, because
 * its WAL positions say nothing about the first one's.
 */
const STORE_FEED_STATE = `
  insert into feed_state as f (settled_lsn, passed_lsn, system_id, timeline, updated_at, chain_id, chain_seqs)
  values ($1, $2, $3, $4, to_timestamp($5::double precision / 1000), $6, $7::bigint[])
  on conflict (id) do update set
    settled_lsn = case when f.system_id = excluded.system_id
                       then greatest(f.settled_lsn, excluded.settled_lsn) else excluded.settled_lsn end,
    passed_lsn  = case when f.system_id = excluded.system_id
                       then greatest(f.passed_lsn, excluded.passed_lsn) else excluded.passed_lsn end,
    system_id   = excluded.system_id,
    timeline    = excluded.timeline,
    chain_id    = case when excluded.updated_at >= f.updated_at then excluded.chain_id else f.chain_id end,
    chain_seqs  = case when excluded.updated_at >= f.updated_at then excluded.chain_seqs else f.chain_seqs end,
    updated_at  = greatest(f.updated_at, excluded.updated_at)
  where f.system_id = excluded.system_id or excluded.updated_at > f.updated_at`;

export async function storeFeedState(
  db: Queryable,
  state: CaptureStateMessage & { at: number },
): Promise<void> {
  await db.query({
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
    ],
  });
}

/** A seal counts for the run that sent it: a later run has a token of its own. */
const SEAL_EXPORT = `
  update exports set sealed_lsn = $3
   where id = $1 and seal_token = $2 and status = 'running' and sealed_lsn is null`;

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
