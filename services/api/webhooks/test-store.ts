import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { WEBHOOKS_CHANNEL } from '../../../shared/protocol/notify-channels.ts';

/** One that is older was claimed by a dispatcher that died, and no longer stands in the way of another. */
const STALE_SECONDS = 120;

export interface WebhookTestResult {
  readonly started_at: string;
  readonly duration_ms: number;
  readonly status: number | null;
  readonly outcome: string;
  readonly excerpt: string | null;
}

export interface WebhookTestRow {
  claimed_at: Date | null;
  result: WebhookTestResult | null;
}

/** Asks the dispatchers for a test delivery. @returns false while an earlier one of this endpoint is under way */
export async function requestTest(
  db: Queryable,
  test: { webhookId: string; eventId: string; payload: string },
): Promise<boolean> {
  const { rowCount } = await db.query(
    `with asked as (
       insert into webhook_tests as t (webhook_id, event_id, payload) values ($1, $2, $3)
       on conflict (webhook_id) do update
         set event_id = excluded.event_id, payload = excluded.payload, requested_at = now(),
             claimed_at = null, result = null
         where t.result is not null or t.requested_at < now() - interval '${STALE_SECONDS} seconds'
       returning webhook_id)
     select pg_notify('${WEBHOOKS_CHANNEL}', webhook_id) from asked`,
    [test.webhookId, test.eventId, test.payload],
  );
  return rowCount === 1;
}

/** @returns undefined when it was replaced, or went with its endpoint */
export async function findTest(
  db: Queryable,
  webhookId: string,
  eventId: string,
): Promise<WebhookTestRow | undefined> {
  const { rows } = await db.query<WebhookTestRow>({
    name: 'find_webhook_test',
    text: 'select claimed_at, result from webhook_tests where webhook_id = $1 and event_id = $2',
    values: [webhookId, eventId],
  });
  return rows[0];
}

/** Takes back what no dispatcher has claimed. @returns whether it was taken back, so that it will never be sent */
export async function withdrawTest(db: Queryable, webhookId: string, eventId: string): Promise<boolean> {
  const { rowCount } = await db.query(
    'delete from webhook_tests where webhook_id = $1 and event_id = $2 and claimed_at is null',
    [webhookId, eventId],
  );
  return rowCount === 1;
}
