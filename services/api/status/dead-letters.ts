import { z } from 'zod';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { EXAMPLE } from '../http/example-values.ts';
import type { Place } from '../http/paging.ts';
import { count, timestamp } from '../http/schema.ts';

export const deadEndpointSchema = z
  .strictObject({
    webhook_id: z.string(),
    account_id: z.string(),
    account_name: z.string(),
    url: z.string(),
    status: z.string(),
    dead_letters: count,
    oldest_at: timestamp.meta({ description: 'When the first of them failed for the first time.' }),
  })
  .meta({ id: 'DeadLetterEndpoint' });

export const EXAMPLE_DEAD_ENDPOINT: z.input<typeof deadEndpointSchema> = {
  webhook_id: EXAMPLE.webhook,
  account_id: EXAMPLE.account,
  account_name: 'Acme',
  url: 'https://acme.example.com/hooks',
  status: 'active',
  dead_letters: 3,
  oldest_at: EXAMPLE.at,
};

interface DeadEndpointRow {
  readonly id: string;
  readonly account_id: string;
  readonly account_name: string;
  readonly url: string;
  readonly status: string;
  readonly dead: number;
  readonly oldest_at: Date;
  readonly created_at_text: string;
}

/** Endpoints with dead letters, those created last first. Only those of the page are counted; of the others one row is looked for. */
export async function listDeadEndpoints(
  db: Queryable,
  after: Place | undefined,
  limit: number,
): Promise<DeadEndpointRow[]> {
  const { rows } = await db.query<DeadEndpointRow>(
    `select w.id, w.account_id, a.name as account_name, w.url, w.status, d.dead, w.oldest_at,
       w.created_at::text as created_at_text
     from (select w.*, oldest.parked_at as oldest_at from webhooks w,
             lateral (select k.parked_at from webhook_parked k where k.webhook_id = w.id and k.state = 'dead'
                      order by k.parked_at limit 1) oldest
           where $1::text is null or (w.created_at, w.id) < ($1::timestamptz, $2::text)
           order by w.created_at desc, w.id desc limit $3) w
       join accounts a on a.id = w.account_id,
       lateral (select count(*)::int as dead from webhook_parked k where k.webhook_id = w.id and k.state = 'dead') d
     order by w.created_at desc, w.id desc`,
    [after?.at ?? null, after?.id ?? null, limit],
  );
  return rows;
}

export function presentDeadEndpoint(row: DeadEndpointRow): z.input<typeof deadEndpointSchema> {
  const { id, account_id, account_name, url, status, dead, oldest_at } = row;
  return {
    webhook_id: id,
    account_id,
    account_name,
    url,
    status,
    dead_letters: dead,
    oldest_at: oldest_at.toISOString(),
  };
}
