import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Status } from './response.ts';

/** What waits and what runs, of all accounts. Ages are in seconds, and null where nothing waits. */
export type Queues = NonNullable<Status['queues']>;

const ageOfOldest = (where: string) =>
  `extract(epoch from clock_timestamp() - min(created_at) filter (where ${where}))::float8`;

/** One statement. Jobs that have not ended are found by partial indexes, and chunks of those jobs alone. */
const READ_QUEUES = `
with active as (
  select account_id, status, phase, created_at, id from exports where status in ('pending', 'running', 'paused', 'cancelling')
), places as (
  select account_id, count(*) filter (where status not in ('pending', 'paused')) as running from active group by account_id
), open_exports as (
  select e.*, e.status = 'pending' as is_queued, coalesce(p.running >= a.max_running_exports, false) as is_full
  from active e left join places p on p.account_id is not distinct from e.account_id
    left join accounts a on a.id = e.account_id
), open_bulk as (
  select id, account_id, status, pause_reason, created_at, status = 'pending' and admitted_at is null as is_queued
  from bulk_jobs where status in ('pending', 'running', 'paused')
), bulk_places as (
  select account_id, count(*) filter (where not is_queued and status <> 'paused') as running from open_bulk group by account_id
), placed_bulk as (
  select b.*, coalesce(p.running >= a.max_running_bulk, false) as is_full
  from open_bulk b left join bulk_places p on p.account_id = b.account_id left join accounts a on a.id = b.account_id
)
select json_build_object(
  'exports', (select json_build_object(
      'queued', count(*) filter (where is_queued),
      'queued_by_limit', count(*) filter (where is_queued and is_full),
      'oldest_queued_seconds', ${ageOfOldest('is_queued')},
      'waiting_for_feed', count(*) filter (where not is_queued and phase = 'waiting_for_feed'),
      'extracting', count(*) filter (where not is_queued and phase = 'extracting'),
      'assembling', count(*) filter (where not is_queued and phase = 'assembling'),
      'paused', count(*) filter (where status = 'paused')) from open_exports),
  'export_chunks', (select json_build_object(
      'waiting', count(*) filter (where state = 'planned'),
      'reading', count(*) filter (where state = 'reading'),
      'unwritten', count(*) filter (where state = 'extracted' and rows_written is null))
    from export_chunks c where c.export_id in (select id from active where status = 'running')),
  'bulk', (select json_build_object(
      'queued', count(*) filter (where is_queued),
      'queued_by_limit', count(*) filter (where is_queued and is_full),
      'oldest_queued_seconds', ${ageOfOldest('is_queued')},
      'running', count(*) filter (where not is_queued and status <> 'paused'),
      'paused', count(*) filter (where status = 'paused' and pause_reason = 'requested'),
      'paused_by_quota', count(*) filter (where status = 'paused' and pause_reason = 'quota'),
      'paused_by_handler', count(*) filter (where status = 'paused' and pause_reason = 'handler'),
      'paused_by_feed', count(*) filter (where status = 'paused' and pause_reason = 'feed')) from placed_bulk),
  'bulk_chunks', (select json_build_object(
      'waiting', count(*) filter (where state = 'waiting'), 'working', count(*) filter (where state = 'working'))
    from bulk_chunks c where state in ('waiting', 'working')
      and c.job_id in (select id from open_bulk where status = 'running')),
  'endpoints', (select json_build_object(
      'active', count(*) filter (where status = 'active'),
      'failing', count(*) filter (where status = 'active' and failing_since is not null),
      'paused', count(*) filter (where status = 'paused'),
      'disabled', count(*) filter (where status = 'disabled')) from webhooks),
  'outbox', (select json_build_object('waiting', count(*), 'oldest_seconds', ${ageOfOldest('true')}) from outbox)
) as queues`;

export async function readQueues(db: Queryable): Promise<Omit<Queues, 'deliveries'>> {
  const { rows } = await db.query<{ queues: Omit<Queues, 'deliveries'> }>({
    name: 'read_queues',
    text: READ_QUEUES,
  });
  const [row] = rows;
  if (row === undefined) throw new Error('the statement of the queues returned nothing');
  return row.queues;
}

/** Each state has a partial index, which is read alone. Their number grows while receivers fail, so this is asked less often. */
const READ_DELIVERIES = `
select w.retrying, w.due, d.dead
from (select count(*)::float8 as retrying, (count(*) filter (where next_attempt_at <= now()))::float8 as due
      from webhook_parked where state = 'waiting') w,
  (select count(*)::float8 as dead from webhook_parked where state = 'dead') d`;

/** Deliveries of all accounts that failed. */
export async function readDeliveries(db: Queryable): Promise<Queues['deliveries']> {
  const { rows } = await db.query<Queues['deliveries']>({ name: 'read_deliveries', text: READ_DELIVERIES });
  const [row] = rows;
  if (row === undefined) throw new Error('the statement of the deliveries returned nothing');
  return row;
}
