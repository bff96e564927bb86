import type { Pool } from 'pg';
import { pauseEndpoint, resumeEndpoint } from '../../../shared/control/webhooks/endpoint-status.ts';
import { formatLsn, type Lsn } from '../../../shared/domain/lsn.ts';
import type { Position } from '../../../shared/domain/position.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { StoredHeaders } from '../../../shared/runtime/secret-box.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import type { Place } from '../http/paging.ts';

export interface SealedSecret {
  readonly ciphertext: string;
  /** RFC 3339. Null for the present secret. */
  readonly expires_at: string | null;
}

export interface WebhookBatch {
  readonly max_events: number;
  readonly max_wait_ms: number;
}

export type WebhookOrder = 'record' | 'strict';

export interface WebhookRow {
  id: string;
  account_id: string;
  url: string;
  events: string[];
  description: string | null;
  headers: StoredHeaders;
  max_in_flight: number;
  rate_limit: number | null;
  batch: WebhookBatch | null;
  delivery_order: WebhookOrder;
  /** The first failed event that is retried, while all later events wait for it. */
  held_by: { commit_lsn: string; idx: number } | null;
  status: 'active' | 'paused' | 'disabled';
  status_reason: string | null;
  /** Undelivered events are no longer retained. */
  missed_events: boolean;
  secrets: SealedSecret[];
  start: unknown;
  cursor_lsn: string;
  cursor_idx: number;
  failures_in_row: number;
  failing_since: Date | null;
  rest_until: Date | null;
  created_at: Date;
  created_at_text: string;
  updated_at: Date;
}

/** `$1` is the account in each statement. Null, for the operator, finds those of every account. */
const OF_ACCOUNT = '($1::text is null or account_id = $1)';

const COLUMNS = `id, account_id, url, events, description, headers, max_in_flight, rate_limit, batch, delivery_order,
  case when delivery_order = 'strict' then (
    select json_build_object('commit_lsn', k.commit_lsn, 'idx', k.idx) from webhook_parked k
     where k.webhook_id = webhooks.id and k.state = 'waiting' and k.attempt_count > 0 and k.commit_lsn < '80000000/0'
     order by k.commit_lsn, k.idx limit 1) end as held_by, status, status_reason,
  missed_events, secrets, start, cursor_lsn::text, cursor_idx, failures_in_row, failing_since, rest_until,
  created_at, created_at::text as created_at_text, updated_at`;

export interface NewWebhook {
  readonly id: string;
  readonly accountId: string;
  readonly url: string;
  readonly events: readonly string[];
  readonly description: string | null;
  /** Sealed. */
  readonly headers: string;
  readonly maxInFlight: number;
  /** Requests a second; null for no limit. */
  readonly rateLimit: number | null;
  readonly batch: WebhookBatch | null;
  readonly order: WebhookOrder;
  readonly secret: SealedSecret;
  /** As in the request. */
  readonly start: unknown;
  readonly cursor: Position;
  readonly handOff: { readonly snapshot: string; readonly untilLsn: Lsn } | undefined;
}

export async function insertWebhook(db: Queryable, webhook: NewWebhook): Promise<WebhookRow | undefined> {
  const { rows } = await db.query<WebhookRow>(
    `insert into webhooks (id, account_id, url, events, description, headers, max_in_flight, status, secrets, start,
       handoff_snapshot, handoff_until_lsn, cursor_lsn, cursor_idx, rate_limit, batch, delivery_order)
     values ($1, $2, $3, $4, $5, $6, $7, 'active', $8, $9, $10, $11, $12, $13, $14, $15, $16)
     returning ${COLUMNS}`,
    [
      webhook.id,
      webhook.accountId,
      webhook.url,
      webhook.events,
      webhook.description,
      JSON.stringify(webhook.headers),
      webhook.maxInFlight,
      JSON.stringify([webhook.secret]),
      JSON.stringify(webhook.start),
      webhook.handOff?.snapshot ?? null,
      webhook.handOff === undefined ? null : formatLsn(webhook.handOff.untilLsn),
      formatLsn(webhook.cursor.commitLsn),
      webhook.cursor.index,
      webhook.rateLimit,
      webhook.batch,
      webhook.order,
    ],
  );
  return rows[0];
}

/** Until the transaction ends, no other request of the account adds an endpoint. */
export async function lockAndCountWebhooks(db: Queryable, accountId: string): Promise<number> {
  await db.query(`select pg_advisory_xact_lock(hashtextextended('tandem.webhooks.' || $1, 0))`, [accountId]);
  const { rows } = await db.query<{ count: number }>(
    'select count(*)::int as count from webhooks where account_id = $1',
    [accountId],
  );
  return rows[0]?.count ?? 0;
}

export async function findWebhook(
  db: Queryable,
  accountId: string | null,
  id: string,
): Promise<WebhookRow | undefined> {
  const { rows } = await db.query<WebhookRow>(
    `select ${COLUMNS} from webhooks where ${OF_ACCOUNT} and id = $2`,
    [accountId, id],
  );
  return rows[0];
}

/** Newest first. */
export async function listWebhooks(
  db: Queryable,
  accountId: string | null,
  after: Place | undefined,
  limit: number,
): Promise<WebhookRow[]> {
  const { rows } = await db.query<WebhookRow>(
    `select ${COLUMNS} from webhooks
     where ${OF_ACCOUNT} and ($2::text is null or (created_at, id) < ($2::timestamptz, $3::text))
     order by created_at desc, id desc limit $4`,
    [accountId, after?.at ?? null, after?.id ?? null, limit],
  );
  return rows;
}

export interface WebhookChange {
  readonly url: string | undefined;
  readonly events: readonly string[] | undefined;
  /** Null takes it away. */
  readonly description: string | null | undefined;
  /** Sealed. */
  readonly headers: string | undefined;
  readonly maxInFlight: number | undefined;
  /** Null takes it away. */
  readonly rateLimit: number | null | undefined;
  /** Null takes it away. */
  readonly batch: WebhookBatch | null | undefined;
  readonly order: WebhookOrder | undefined;
}

/**
 * Changes the given members only.
 *
 * @returns undefined when the endpoint does not exist
 */
export async function updateWebhook(
  db: Queryable,
  accountId: string | null,
  id: string,
  change: WebhookChange,
): Promise<WebhookRow | undefined> {
  const { rows } = await db.query<WebhookRow>(
    `update webhooks set url = coalesce($3, url), events = coalesce($4, events),
       description = case when $5 then $6 else description end, headers = coalesce($7, headers),
       max_in_flight = coalesce($8, max_in_flight),
       rate_limit = case when $9 then $10 else rate_limit end,
       batch = case when $11 then $12 else batch end, delivery_order = coalesce($13, delivery_order), updated_at = now()
     where ${OF_ACCOUNT} and id = $2 returning ${COLUMNS}`,
    [
      accountId,
      id,
      change.url ?? null,
      change.events ?? null,
      change.description !== undefined,
      change.description ?? null,
      change.headers === undefined ? null : JSON.stringify(change.headers),
      change.maxInFlight ?? null,
      change.rateLimit !== undefined,
      change.rateLimit ?? null,
      change.batch !== undefined,
      change.batch ?? null,
      change.order ?? null,
    ],
  );
  return rows[0];
}

const DROPPED_AT_ONCE = 10_000;

/** Drops what waits or was given up, some at a time: there may be millions, more than one statement can delete in time. */
export async function dropRetries(pool: Pool, id: string): Promise<void> {
  for (let dropped = DROPPED_AT_ONCE; dropped === DROPPED_AT_ONCE; ) {
    const { rowCount } = await pool.query(
      `delete from webhook_parked where webhook_id = $1 and (commit_lsn, idx) in (
         select commit_lsn, idx from webhook_parked where webhook_id = $1 order by commit_lsn, idx limit ${DROPPED_AT_ONCE})`,
      [id],
    );
    dropped = rowCount ?? 0;
  }
}

/** Its attempts are swept by their age. Call `dropRetries` before, on an endpoint that is paused. */
export async function deleteWebhook(db: Queryable, accountId: string | null, id: string): Promise<boolean> {
  const { rowCount } = await db.query(`delete from webhooks where ${OF_ACCOUNT} and id = $2`, [
    accountId,
    id,
  ]);
  return rowCount === 1;
}

/** @returns the endpoint, paused or still disabled; undefined when there is none */
export async function pauseWebhook(
  db: Queryable,
  accountId: string | null,
  id: string,
): Promise<WebhookRow | undefined> {
  await pauseEndpoint(db, accountId, id);
  return findWebhook(db, accountId, id);
}

/** @returns the endpoint, active; undefined when there is none */
export async function resumeWebhook(
  db: Queryable,
  accountId: string | null,
  id: string,
): Promise<WebhookRow | undefined> {
  await resumeEndpoint(db, accountId, id);
  return findWebhook(db, accountId, id);
}

/**
 * Whether no dispatcher uses earlier settings any longer: the holder of the endpoint has taken over the
 * stored ones, or no live dispatcher holds it. True also for an endpoint that does not exist.
 */
async function isApplied(db: Queryable, id: string): Promise<boolean> {
  const { rows } = await db.query<{ is_applied: boolean }>({
    name: 'is_webhook_applied',
    text: `select settings_version <= applied_version or lease_owner is null
                  or not exists (select from dispatchers d where d.id = lease_owner and d.expires_at > now()) as is_applied
           from webhooks where id = $1`,
    values: [id],
  });
  return rows[0]?.is_applied ?? true;
}

/** Earlier secrets that still sign. A faster rotation drops the oldest of them. */
const MAX_OLD_SECRETS = 4;

/**
 * Adds a new secret. Earlier secrets sign until the end of the grace period, unless they end before. Expired
 * secrets are dropped.
 */
export async function addSecret(
  db: Queryable,
  accountId: string | null,
  id: string,
  ciphertext: string,
  graceHours: number,
): Promise<WebhookRow | undefined> {
  const { rows } = await db.query<WebhookRow>(
    `update webhooks set updated_at = now(), secrets =
       jsonb_build_array(jsonb_build_object('ciphertext', $3::text, 'expires_at', null)) || coalesce((
         select jsonb_agg(jsonb_build_object('ciphertext', s->>'ciphertext', 'expires_at', to_char(
                  least((s->>'expires_at')::timestamptz, now() + make_interval(hours => $4)) at time zone 'UTC',
                  'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) order by place)
         from jsonb_array_elements(secrets) with ordinality as t (s, place)
         where ((s->>'expires_at') is null or (s->>'expires_at')::timestamptz > now())
           and place <= ${MAX_OLD_SECRETS}), '[]')
     where ${OF_ACCOUNT} and id = $2 returning ${COLUMNS}`,
    [accountId, id, ciphertext, graceHours],
  );
  return rows[0];
}

/** By then a dispatcher that does not react has lost its endpoints. */
const LIMIT_MS = 10_000;
const POLL_MS = 25;

/**
 * Waits until the dispatcher that holds the endpoint uses the stored settings, so that no request with
 * earlier settings starts after the response.
 */
export async function awaitApplied(pool: Pool, webhookId: string): Promise<void> {
  const deadlineMs = performance.now() + LIMIT_MS;
  while (!(await isApplied(pool, webhookId)) && performance.now() < deadlineMs) await sleep(POLL_MS);
}
