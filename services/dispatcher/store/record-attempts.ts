import { DURATION_CLASSES, durationClass } from '../../../shared/domain/duration-classes.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { KeptHeaders } from '../send/kept-headers.ts';

/** One request to an endpoint, as shown to its owner. */
export interface Attempt {
  readonly endpointId: string;
  /** The event, or the first of a batch. */
  readonly eventId: string;
  /** Undefined when the event was sent alone. */
  readonly batch: { readonly id: string; readonly eventIds: readonly string[] } | undefined;
  /** Counts from 1. */
  readonly attempt: number;
  readonly startedAtMs: number;
  readonly durationMs: number;
  /** Commit time of the (first) event; undefined for a test. Not stored with the attempt, because the event has it. */
  readonly committedAtMs: number | undefined;
  readonly status: number | undefined;
  /** `delivered`, `failed`, or the class of the error that prevented a response. */
  readonly outcome: string;
  readonly excerpt: string | undefined;
  /** Undefined when nothing was sent. */
  readonly request: { readonly signature: string; readonly ownHeaders: readonly string[] } | undefined;
  /** Undefined without a response. */
  readonly response: (KeptHeaders & { readonly isBodyCut: boolean }) | undefined;
}

/** Statistics of an endpoint's deliveries that started within the same five minutes. */
interface Bucket {
  readonly endpointId: string;
  readonly startMs: number;
  delivered: number;
  failed: number;
  deliveredEvents: number;
  failedEvents: number;
  readonly durations: number[];
}

const BUCKET_MS = 5 * 60_000;

/**
 * The join drops attempts of deleted endpoints, which would make the whole statement fail. Endpoints are locked first
 * and in the same order as by a deletion, so the two can't deadlock. Statistics are updated in one order, so
 * dispatchers can't deadlock either. IDs are given in the order of the attempts.
 */
const RECORD_ATTEMPTS = `
  with endpoints as materialized (
    select id from webhooks where id = any($1) order by id for key share
  ), noted as (
    insert into webhook_attempts
      (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome, excerpt, batch, request, response, event_ids)
    select a.webhook_id, a.event_id, a.attempt, a.started_at, a.duration_ms, a.status, a.outcome, a.excerpt, a.batch,
           a.request, a.response, string_to_array(a.event_ids, ',')
      from unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::int[], $6::int[], $7::text[], $8::text[],
                  $9::jsonb[], $10::jsonb[], $11::jsonb[], $12::text[]) with ordinality
           as a (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome, excerpt, batch, request,
                 response, event_ids, place)
      join endpoints w on w.id = a.webhook_id
     order by a.place
  )
  insert into webhook_stats as s
    (webhook_id, bucket, delivered, failed, delivered_events, failed_events, durations)
  select b.webhook_id, b.bucket, b.delivered, b.failed, b.delivered_events, b.failed_events, b.durations::int[]
    from unnest($13::text[], $14::timestamptz[], $15::int[], $16::int[], $17::bigint[], $18::bigint[], $19::text[])
         as b (webhook_id, bucket, delivered, failed, delivered_events, failed_events, durations)
    join endpoints w on w.id = b.webhook_id
   order by b.webhook_id, b.bucket
  on conflict (webhook_id, bucket) do update set
    delivered = s.delivered + excluded.delivered, failed = s.failed + excluded.failed,
    delivered_events = s.delivered_events + excluded.delivered_events,
    failed_events = s.failed_events + excluded.failed_events,
    durations = (select array_agg(n.before + n.added order by n.place)
                   from unnest(s.durations, excluded.durations) with ordinality as n (before, added, place))`;

/** Records attempts, and adds them to their endpoints' statistics. Tests are not deliveries and are not counted. */
export async function recordAttempts(db: Queryable, attempts: readonly Attempt[]): Promise<void> {
  const buckets = toBuckets(attempts.filter(({ committedAtMs }) => committedAtMs !== undefined));
  await db.query({
    name: 'record_attempts',
    text: RECORD_ATTEMPTS,
    values: [
      attempts.map((item) => item.endpointId),
      attempts.map((item) => item.eventId),
      attempts.map((item) => item.attempt),
      attempts.map((item) => new Date(item.startedAtMs)),
      attempts.map((item) => Math.round(item.durationMs)),
      attempts.map((item) => item.status ?? null),
      attempts.map((item) => item.outcome),
      attempts.map((item) => item.excerpt ?? null),
      attempts.map(({ batch }) =>
        toJson(
          batch && { id: batch.id, event_count: batch.eventIds.length, last_event_id: batch.eventIds.at(-1) },
        ),
      ),
      attempts.map(({ request }) =>
        toJson(request && { signature: request.signature, own_headers: request.ownHeaders }),
      ),
      attempts.map(({ response }) =>
        toJson(
          response && {
            headers: response.headers,
            headers_omitted: response.omittedCount,
            is_body_cut: response.isBodyCut,
          },
        ),
      ),
      attempts.map(({ batch }) => batch?.eventIds.join(',') ?? null),
      buckets.map((bucket) => bucket.endpointId),
      buckets.map((bucket) => new Date(bucket.startMs)),
      buckets.map((bucket) => bucket.delivered),
      buckets.map((bucket) => bucket.failed),
      buckets.map((bucket) => bucket.deliveredEvents),
      buckets.map((bucket) => bucket.failedEvents),
      buckets.map((bucket) => `{${bucket.durations.join(',')}}`),
    ],
  });
}

function toBuckets(attempts: readonly Attempt[]): Bucket[] {
  const buckets = new Map<string, Bucket>();
  for (const { endpointId, startedAtMs, durationMs, outcome, batch } of attempts) {
    const startMs = startedAtMs - (startedAtMs % BUCKET_MS);
    const key = `${endpointId} ${startMs}`;
    const bucket = buckets.get(key) ?? emptyBucket(endpointId, startMs);
    buckets.set(key, bucket);
    const eventCount = batch?.eventIds.length ?? 1;
    if (outcome === 'delivered') {
      bucket.delivered += 1;
      bucket.deliveredEvents += eventCount;
    } else {
      bucket.failed += 1;
      bucket.failedEvents += eventCount;
    }
    const place = durationClass(durationMs);
    bucket.durations[place] = (bucket.durations[place] ?? 0) + 1;
  }
  return [...buckets.values()];
}

function emptyBucket(endpointId: string, startMs: number): Bucket {
  const durations = new Array<number>(DURATION_CLASSES).fill(0);
  return { endpointId, startMs, delivered: 0, failed: 0, deliveredEvents: 0, failedEvents: 0, durations };
}

function toJson(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
