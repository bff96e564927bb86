import type { Queryable } from '../../../shared/postgres/queryable.ts';

/**
 * Lifetime of the key of a request that creates no job. With a job, the key lives this long after the job's
 * end, by a trigger of the control store.
 */
const KEPT_DAYS = 7;

/** How long a second request waits for the first before it gets a conflict. */
const WAIT_MS = 2_000;

/** Expired keys deleted with each new one: more than are added, so that they never pile up. */
const SWEEP_COUNT = 20;

export type KeyClaim =
  | { readonly state: 'claimed' }
  | { readonly state: 'in_flight' }
  | { readonly state: 'kept'; readonly requestHash: Buffer; readonly response: string };

const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Claims a key for this transaction, or returns the response of the request that claimed it before. While
 * another transaction holds the key, the insert waits for its end. After `in_flight` this transaction can
 * only be rolled back.
 */
export async function claimKey(
  db: Queryable,
  key: { accountId: string; route: string; key: string; requestHash: Buffer },
): Promise<KeyClaim> {
  const id = [key.accountId, key.route, key.key];
  await db.query(`set local lock_timeout = ${WAIT_MS}`);
  try {
    const inserted = await db.query(
      `insert into idempotency_keys as k (account_id, route, key, request_hash, expires_at)
       values ($1, $2, $3, $4, now() + make_interval(days => $5))
       on conflict (account_id, route, key) do update
         set request_hash = excluded.request_hash, response = null, job_id = null, created_at = now(), expires_at = excluded.expires_at
         where k.expires_at < now()`,
      [...id, key.requestHash, KEPT_DAYS],
    );
    if (inserted.rowCount === 1) return { state: 'claimed' };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === LOCK_NOT_AVAILABLE) {
      return { state: 'in_flight' };
    }
    throw error;
  } finally {
    await db.query('set local lock_timeout = 0').catch(() => undefined);
  }
  return (await findResponse(db, key)) ?? { state: 'in_flight' };
}

/** The response to the request that claimed the key; undefined when there is none yet. */
export async function findResponse(
  db: Queryable,
  { accountId, route, key }: { accountId: string; route: string; key: string },
): Promise<Extract<KeyClaim, { state: 'kept' }> | undefined> {
  const { rows } = await db.query<{ request_hash: Buffer; sealed: string | null }>(
    `select request_hash, response ->> 'sealed' as sealed from idempotency_keys
     where account_id = $1 and route = $2 and key = $3 and expires_at >= now()`,
    [accountId, route, key],
  );
  const kept = rows[0];
  if (kept === undefined || kept.sealed === null) return undefined;
  return { state: 'kept', requestHash: kept.request_hash, response: kept.sealed };
}

/** Stores the response. The key of a job does not expire before the job ends. */
export async function keepResponse(
  db: Queryable,
  kept: { accountId: string; route: string; key: string; response: string; jobId: string | undefined },
): Promise<void> {
  await db.query(
    `update idempotency_keys set response = jsonb_build_object('sealed', $4::text), job_id = $5,
       expires_at = case when $5::text is null then expires_at else 'infinity' end
     where account_id = $1 and route = $2 and key = $3`,
    [kept.accountId, kept.route, kept.key, kept.response, kept.jobId ?? null],
  );
}

/** Skips rows that another transaction has locked. */
export async function dropExpiredKeys(db: Queryable): Promise<void> {
  await db.query({
    name: 'drop_expired_idempotency_keys',
    text: `delete from idempotency_keys where (account_id, route, key) in (
             select account_id, route, key from idempotency_keys where expires_at < now()
             limit ${SWEEP_COUNT} for update skip locked)`,
  });
}
