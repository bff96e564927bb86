import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** One request to an endpoint, as its owner sees it. */
export interface Attempt {
  readonly endpointId: string;
  readonly eventId: string;
  /** Counts from 1. */
  readonly attempt: number;
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly status: number | undefined;
  /** `delivered`, `failed`, or the class of the error that left us without an answer. */
  readonly outcome: string;
  readonly excerpt: string | undefined;
}

/** The join drops what belongs to an endpoint that was deleted meanwhile, which would fail the rest with it. */
const RECORD_ATTEMPTS = `
  insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome, excerpt)
  select a.webhook_id, a.event_id, a.attempt, a.started_at, a.duration_ms, a.status, a.outcome, a.excerpt
    from unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::int[], $6::int[], $7::text[], $8::text[])
         as a (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome, excerpt)
    join webhooks w on w.id = a.webhook_id`;

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
    ],
  });
}
