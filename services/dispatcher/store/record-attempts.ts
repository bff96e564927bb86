import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** One request to an endpoint, as its owner sees it. */
export interface Attempt {
  readonly endpointId: string;
  /** The event, or the first of a batch. */
  readonly eventId: string;
  /** Undefined when the event went by itself. */
  readonly batch:
    | { readonly id: string; readonly eventCount: number; readonly lastEventId: string }
    | undefined;
  /** Counts from 1. */
  readonly attempt: number;
  readonly startedAtMs: number;
  readonly durationMs: number;
  /** Of the event, or the first of a batch; undefined for a test. Not recorded with the attempt, since the event has it. */
  readonly committedAtMs: number | undefined;
  readonly status: number | undefined;
  /** `delivered`, `failed`, or the class of the error that left us without an answer. */
  readonly outcome: string;
  readonly excerpt: string | undefined;
}

/**
 * The join drops what belongs to an endpoint that was deleted meanwhile, which would fail the rest with it. IDs are given in
 * the order of the attempts, because they are listed by them.
 */
const RECORD_ATTEMPTS = `
  insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome, excerpt, batch)
  select a.webhook_id, a.event_id, a.attempt, a.started_at, a.duration_ms, a.status, a.outcome, a.excerpt, a.batch
    from unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::int[], $6::int[], $7::text[], $8::text[],
                $9::jsonb[]) with ordinality
         as a (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome, excerpt, batch, place)
    join webhooks w on w.id = a.webhook_id
   order by a.place`;

export async function recordAttempts(db: Queryable, attempts: readonly Attempt[]): Promise<void> {
  await db.query({
    name: 'record_attempts',
    text: RECORD_ATTEMPTS,
    values: [
      attempts.map((item) => item.endpointId),
      attempts.map((item) => item.eventId),
      attempts.map((item) => item.attempt),
      attempts.map((item) => new Date(item.startedAtMs)),
      attempts.map((item) => item.durationMs),
      attempts.map((item) => item.status ?? null),
      attempts.map((item) => item.outcome),
      attempts.map((item) => item.excerpt ?? null),
      attempts.map(({ batch }) =>
        batch === undefined
          ? null
          : JSON.stringify({ id: batch.id, event_count: batch.eventCount, last_event_id: batch.lastEventId }),
      ),
    ],
  });
}
