import { z } from 'zod';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { EXAMPLE } from '../http/example-values.ts';
import type { Place } from '../http/paging.ts';
import { timestamp } from '../http/schema.ts';
import { behindBySchema, presentBacklog } from '../webhooks/stats-response.ts';
import { readBacklog } from '../webhooks/stats-store.ts';

/** Events that are examined for each endpoint: a page of 200 of them takes less than a second. */
const MAX_EXAMINED = 1_000;

export const failingEndpointSchema = z
  .strictObject({
    webhook_id: z.string(),
    account_id: z.string(),
    account_name: z.string(),
    url: z.string(),
    status: z.enum(['active', 'disabled']),
    status_reason: z.string().nullable(),
    since: timestamp.meta({
      description:
        'When its failures began. For an endpoint that was disabled without one: when it was last changed.',
    }),
    last_failure: z
      .strictObject({
        at: timestamp,
        status: z
          .int()
          .nullable()
          .meta({ description: 'HTTP status of the response. Null without a response.' }),
        outcome: z.string().meta({ description: 'failed, or an error class.' }),
      })
      .nullable()
      .meta({ description: 'Null: no attempt that failed is retained.' }),
    behind_by: behindBySchema(MAX_EXAMINED),
  })
  .meta({ id: 'FailingEndpoint' });

type FailingEndpoint = z.input<typeof failingEndpointSchema>;

export const EXAMPLE_FAILING_ENDPOINT: FailingEndpoint = {
  webhook_id: EXAMPLE.webhook,
  account_id: EXAMPLE.account,
  account_name: 'Acme',
  url: 'https://acme.example.com/hooks',
  status: 'active',
  status_reason: null,
  since: EXAMPLE.at,
  last_failure: { at: EXAMPLE.later, status: 503, outcome: 'failed' },
  behind_by: { events: 41, is_exact: true, seconds: 1_380 },
};

interface FailingEndpointRow {
  readonly id: string;
  readonly account_id: string;
  readonly account_name: string;
  readonly url: string;
  readonly status: 'active' | 'disabled';
  readonly status_reason: string | null;
  readonly since: Date;
  /** The time by which the list is ordered. */
  readonly created_at_text: string;
  readonly failed_at: Date | null;
  readonly failure_status: number | null;
  readonly outcome: string | null;
}

/** Endpoints of all accounts that fail or were disabled, the longest first. Other endpoints are not looked at. */
export async function listFailingEndpoints(
  db: Queryable,
  after: Place | undefined,
  limit: number,
): Promise<FailingEndpointRow[]> {
  const { rows } = await db.query<FailingEndpointRow>(
    `select w.id, w.account_id, a.name as account_name, w.url, w.status, w.status_reason, w.since,
       w.since::text as created_at_text, f.started_at as failed_at, f.status as failure_status, f.outcome
     from (select *, coalesce(failing_since, updated_at) as since from webhooks
           where (status = 'disabled' or (status = 'active' and failing_since is not null))
             and ($1::text is null or (coalesce(failing_since, updated_at), id) > ($1::timestamptz, $2::text))
           order by coalesce(failing_since, updated_at), id limit $3) w
       join accounts a on a.id = w.account_id
       left join lateral (
         select t.started_at, t.status, t.outcome from webhook_attempts t
          where t.webhook_id = w.id and t.outcome <> 'delivered'
          order by t.started_at desc, t.id desc limit 1) f on true
     order by w.since, w.id`,
    [after?.at ?? null, after?.id ?? null, limit],
  );
  return rows;
}

/** With how far it is behind, which is read for each endpoint of the page in turn. */
export async function presentFailingEndpoint(
  row: FailingEndpointRow,
  { pool, catalog, now }: { readonly pool: Queryable; readonly catalog: Catalog; readonly now: () => number },
): Promise<FailingEndpoint> {
  const singularOf = (resource: string) => findResource(catalog, resource)?.event;
  const backlog = await readBacklog(pool, row.id, singularOf, MAX_EXAMINED);
  const { id, account_id, account_name, url, status, status_reason, since, failed_at, outcome } = row;
  return {
    webhook_id: id,
    account_id,
    account_name,
    url,
    status,
    status_reason,
    since: since.toISOString(),
    last_failure:
      failed_at === null || outcome === null
        ? null
        : { at: failed_at.toISOString(), status: row.failure_status, outcome },
    behind_by: presentBacklog(backlog, now()),
  };
}
