import type { Queryable } from '../../postgres/queryable.ts';

export interface AccountEventRow {
  commit_lsn: string;
  account_id: string;
  type: string;
  resource: string;
  subject_id: string;
  occurred_at: string;
}

/** Events per statement. Further ones wait for the next round. */
const MAX_UNHEARD = 1_000;

const IS_HEARD = `exists (
  select from webhooks w where w.account_id = a.account_id and w.id <> a.subject_id and w.created_at <= a.occurred_at)`;

/**
 * Marks events of accounts without an endpoint for them as scheduled. Called often, so it is one small statement.
 *
 * @returns whether other events are still to be scheduled
 */
export async function passOverUnheard(db: Queryable): Promise<boolean> {
  const { rows } = await db.query<{ is_any_left: boolean }>({
    name: 'pass_over_unheard_events',
    text: `with unheard as (
             update account_events set parked_at = now() where commit_lsn in (
               select a.commit_lsn from account_events a where a.parked_at is null and not ${IS_HEARD}
               limit ${MAX_UNHEARD} for update skip locked)
           )
           select exists (select from account_events a where a.parked_at is null and ${IS_HEARD}) as is_any_left`,
  });
  return rows[0]?.is_any_left === true;
}

/** The oldest event that is not scheduled, locked until the transaction ends. Events locked by others are skipped. */
export async function claimAccountEvent(db: Queryable): Promise<AccountEventRow | undefined> {
  const { rows } = await db.query<AccountEventRow>({
    name: 'claim_account_event',
    text: `select commit_lsn::text, account_id, type, resource, subject_id, occurred_at::text
             from account_events where parked_at is null
            order by commit_lsn limit 1 for update skip locked`,
  });
  return rows[0];
}

/** The account's endpoints that existed at the time of the event, without the endpoint that it is about. */
export async function listListeners(
  db: Queryable,
  { account_id, subject_id, occurred_at }: AccountEventRow,
): Promise<{ id: string; events: string[] }[]> {
  const { rows } = await db.query<{ id: string; events: string[] }>({
    name: 'list_listeners',
    text: `select id, events from webhooks where account_id = $1 and id <> $2 and created_at <= $3 order by id`,
    values: [account_id, subject_id, occurred_at],
  });
  return rows;
}

/** Schedules the event for one endpoint, and notifies the dispatcher that leases it. Safe to repeat. */
export async function scheduleAccountEvent(
  db: Queryable,
  webhookId: string,
  event: AccountEventRow,
): Promise<void> {
  await db.query({
    name: 'schedule_account_event',
    // Locks the endpoint's row before its retries, in the order of its holder.
    text: `with endpoint as (
             select id from webhooks where id = $1 for no key update
           ), retries as (
             insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, next_attempt_at, state)
             select id, $2, 0, $3, $4, now(), 'waiting' from endpoint
             on conflict do nothing returning webhook_id
           )
           update webhooks w set updated_at = clock_timestamp() from retries where w.id = retries.webhook_id`,
    values: [webhookId, event.commit_lsn, event.occurred_at, `${event.resource}/${event.subject_id}`],
  });
}

export async function noteScheduled(db: Queryable, { commit_lsn }: AccountEventRow): Promise<void> {
  await db.query({
    name: 'note_account_event_scheduled',
    text: 'update account_events set parked_at = now() where commit_lsn = $1',
    values: [commit_lsn],
  });
}
