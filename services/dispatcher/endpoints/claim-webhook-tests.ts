import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { ENDPOINT_COLUMNS, type EndpointRow } from './endpoint-row.ts';

/** Whoever asked has given up by then: a test that comes out of the blue tells nobody anything. */
const STALE_SECONDS = 30;

export interface WebhookTestRow extends EndpointRow {
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

/** Takes tests that were asked for and nobody took. Each is taken once, so that none is sent twice. */
export async function claimWebhookTests(db: Queryable, limit: number): Promise<WebhookTestRow[]> {
  const { rows } = await db.query<WebhookTestRow>({
    name: 'claim_webhook_tests',
    text: `with asked as (
             select webhook_id from webhook_tests
              where claimed_at is null and requested_at > now() - interval '${STALE_SECONDS} seconds'
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
