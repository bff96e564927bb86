import type { Queryable } from '../../postgres/queryable.ts';
import { WEBHOOKS_CHANNEL } from '../../protocol/names.ts';
import { ENDPOINT_COLUMNS, type EndpointRow } from './lease-endpoints.ts';

/** By then the request has timed out, and a later test would help nobody. */
const UNCLAIMED_SECONDS = 30;

export interface ClaimedTest extends EndpointRow {
  event_id: string;
  payload: string;
}

export interface WebhookTestResult {
  readonly started_at: string;
  readonly duration_ms: number;
  readonly status: number | null;
  readonly outcome: string;
  readonly excerpt: string | null;
}

/** Claims requested tests. Each is claimed once, so that none is sent twice. */
export async function claimWebhookTests(db: Queryable, limit: number): Promise<ClaimedTest[]> {
  const { rows } = await db.query<ClaimedTest>({
    name: 'claim_webhook_tests',
    text: `with asked as (
             select webhook_id from webhook_tests
              where claimed_at is null and requested_at > now() - interval '${UNCLAIMED_SECONDS} seconds'
              order by requested_at limit $1 for update skip locked
           ), claimed as (
             update webhook_tests t set claimed_at = now() from asked where t.webhook_id = asked.webhook_id
             returning t.webhook_id, t.event_id, t.payload
           )
           select ${ENDPOINT_COLUMNS}, claimed.event_id, claimed.payload
             from claimed join webhooks w on w.id = claimed.webhook_id`,
    values: [limit],
  });
  return rows;
}

export async function saveTestResult(
  db: Queryable,
  webhookId: string,
  eventId: string,
  result: WebhookTestResult,
): Promise<void> {
  await db.query({
    name: 'save_webhook_test_result',
    text: 'update webhook_tests set result = $3 where webhook_id = $1 and event_id = $2',
    values: [webhookId, eventId, JSON.stringify(result)],
  });
}

/** An older test was claimed by a dispatcher that died, and does not block another one. */
const DIED_SECONDS = 120;

export interface RequestedTest {
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
         where t.result is not null or t.requested_at < now() - interval '${DIED_SECONDS} seconds'
       returning webhook_id)
     select pg_notify('${WEBHOOKS_CHANNEL}', webhook_id) from asked`,
    [test.webhookId, test.eventId, test.payload],
  );
  return rowCount === 1;
}

/** @returns undefined when it was replaced, or its endpoint was deleted */
export async function findTest(
  db: Queryable,
  webhookId: string,
  eventId: string,
): Promise<RequestedTest | undefined> {
  const { rows } = await db.query<RequestedTest>({
    name: 'find_webhook_test',
    text: 'select claimed_at, result from webhook_tests where webhook_id = $1 and event_id = $2',
    values: [webhookId, eventId],
  });
  return rows[0];
}

/** Withdraws a test that no dispatcher has claimed. @returns whether it was withdrawn, so that it will never be sent */
export async function withdrawTest(db: Queryable, webhookId: string, eventId: string): Promise<boolean> {
  const { rowCount } = await db.query(
    'delete from webhook_tests where webhook_id = $1 and event_id = $2 and claimed_at is null',
    [webhookId, eventId],
  );
  return rowCount === 1;
}
