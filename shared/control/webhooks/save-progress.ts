import { formatLsn } from '../../domain/lsn.ts';
import type { Position } from '../../domain/position.ts';
import type { Queryable } from '../../postgres/queryable.ts';

export interface EndpointProgress {
  readonly endpointId: string;
  readonly cursorEpoch: number;
  readonly leaseEpoch: number;
  readonly cursor: Position;
  readonly done: readonly string[];
  /** The circuit breaker's state, in epoch milliseconds. */
  readonly health: {
    readonly failuresInRow: number;
    readonly failingSinceMs: number | undefined;
    /** 0 when the endpoint does not pause. */
    readonly restUntilMs: number;
  };
  /** Why the endpoint is to be disabled, or undefined. */
  readonly disabledBy: string | undefined;
}

export interface ScheduledRetry {
  readonly endpointId: string;
  readonly position: Position;
  readonly committedAt: string;
  readonly record: string;
  readonly attemptCount: number;
  /** Undefined while it only waits for its predecessor. */
  readonly nextAttemptAtMs: number | undefined;
  readonly askedXid: string;
  readonly lastError: Readonly<Record<string, unknown>> | undefined;
  readonly state: 'waiting' | 'dead';
  /** Later events of its record are not scheduled for retry, though the cursor has passed them. */
  readonly hasMore: boolean;
}

export interface EndedRetry {
  readonly endpointId: string;
  readonly position: Position;
  /** As it was read. A different value now means that a replay was requested since. */
  readonly askedXid: string;
}

/** The progress of several endpoints since the last save. */
export interface ProgressBatch {
  readonly endpoints: readonly EndpointProgress[];
  readonly retries: readonly ScheduledRetry[];
  readonly endedRetries: readonly EndedRetry[];
}

/**
 * Each endpoint is found by its ID. The owner is compared in a way that no index serves and no statistic describes: an
 * owner that the statistics do not know yet, as after each restart, seems to hold nothing, so PostgreSQL would begin
 * with what it holds, and compare all of that with all that is saved.
 */
const HELD = `
  with held as (
    update webhooks w set
      cursor_lsn = p.cursor_lsn, cursor_idx = p.cursor_idx,
      done = string_to_array(p.done, ','),
      failures_in_row = p.failures_in_row, failing_since = p.failing_since, rest_until = p.rest_until,
      status = case when p.disabled_by is null then w.status else 'disabled' end,
      status_reason = coalesce(p.disabled_by, w.status_reason)
    from unnest($1::text[], $2::text[], $3::int[], $4::pg_lsn[], $5::int[], $6::text[], $7::int[],
                $8::timestamptz[], $9::timestamptz[], $10::text[], $11::int[])
         as p (owner, id, epoch, cursor_lsn, cursor_idx, done, failures_in_row,
               failing_since, rest_until, disabled_by, lease_epoch)
    where w.id = p.id and coalesce(w.lease_owner, '') = p.owner
      and w.lease_epoch = p.lease_epoch and w.cursor_epoch = p.epoch
    returning w.id
  )`;

const SAVE_PROGRESS = `${HELD} select id from held`;

/**
 * One statement, so that the cursor never passes an event whose retry is not saved with it. `webhook_parked` holds
 * events scheduled for retry, those that overflowed to retry behind them, and those that failed for good (`dead`). An
 * event whose replay was requested since the read keeps its schedule.
 */
const SAVE_WITH_RETRIES = `${HELD}, retries as (
    insert into webhook_parked as k
      (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, next_attempt_at, last_error, state,
       has_more, asked_xid)
    select n.webhook_id, n.commit_lsn, n.idx, n.committed_at, n.record_key, n.attempt_count, n.next_attempt_at,
           n.last_error, n.state, n.has_more, n.asked_xid
      from unnest($12::text[], $13::pg_lsn[], $14::int[], $15::timestamptz[], $16::text[], $17::int[],
                  $18::timestamptz[], $19::jsonb[], $20::text[], $25::boolean[], $26::bigint[])
           as n (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, next_attempt_at,
                 last_error, state, has_more, asked_xid)
      join held on held.id = n.webhook_id
    on conflict (webhook_id, commit_lsn, idx) do update set
      attempt_count = case when k.asked_xid = excluded.asked_xid then excluded.attempt_count else k.attempt_count end,
      next_attempt_at =
        case when k.asked_xid = excluded.asked_xid then excluded.next_attempt_at else k.next_attempt_at end,
      state = case when k.asked_xid = excluded.asked_xid then excluded.state else k.state end,
      last_error = excluded.last_error, has_more = excluded.has_more
  ), ended as (
    delete from webhook_parked k
     using unnest($21::text[], $22::pg_lsn[], $23::int[], $24::bigint[]) as u (webhook_id, commit_lsn, idx, asked_xid),
           held
     where held.id = u.webhook_id
       and k.webhook_id = u.webhook_id and k.commit_lsn = u.commit_lsn and k.idx = u.idx
       and k.asked_xid = u.asked_xid
  )
  select id from held`;

const toDate = (ms: number | undefined) => (ms === undefined || ms === 0 ? null : new Date(ms));

/**
 * Saves progress, scheduled retries and ended retries of several endpoints, each only if `owner` still holds it by the
 * same claim and its cursor was not moved. Repeating a save changes nothing.
 *
 * @returns the IDs of the saved endpoints; others have another holder
 */
export async function saveProgress(
  db: Queryable,
  owner: string,
  { endpoints, retries, endedRetries }: ProgressBatch,
): Promise<Set<string>> {
  const values: unknown[] = [
    endpoints.map(() => owner),
    endpoints.map((item) => item.endpointId),
    endpoints.map((item) => item.cursorEpoch),
    endpoints.map((item) => formatLsn(item.cursor.commitLsn)),
    endpoints.map((item) => item.cursor.index),
    endpoints.map((item) => item.done.join(',')),
    endpoints.map((item) => item.health.failuresInRow),
    endpoints.map((item) => toDate(item.health.failingSinceMs)),
    endpoints.map((item) => toDate(item.health.restUntilMs)),
    endpoints.map((item) => item.disabledBy ?? null),
    endpoints.map((item) => item.leaseEpoch),
  ];
  const hasRetries = retries.length > 0 || endedRetries.length > 0;
  if (hasRetries) {
    values.push(
      retries.map((item) => item.endpointId),
      retries.map((item) => formatLsn(item.position.commitLsn)),
      retries.map((item) => item.position.index),
      retries.map((item) => item.committedAt),
      retries.map((item) => item.record),
      retries.map((item) => item.attemptCount),
      retries.map((item) => toDate(item.nextAttemptAtMs)),
      retries.map((item) => (item.lastError === undefined ? null : JSON.stringify(item.lastError))),
      retries.map((item) => item.state),
      endedRetries.map((item) => item.endpointId),
      endedRetries.map((item) => formatLsn(item.position.commitLsn)),
      endedRetries.map((item) => item.position.index),
      endedRetries.map((item) => item.askedXid),
      retries.map((item) => item.hasMore),
      retries.map((item) => item.askedXid),
    );
  }
  const { rows } = await db.query<{ id: string }>({
    name: hasRetries ? 'save_progress_with_retries' : 'save_progress',
    text: hasRetries ? SAVE_WITH_RETRIES : SAVE_PROGRESS,
    values,
  });
  return new Set(rows.map((row) => row.id));
}
