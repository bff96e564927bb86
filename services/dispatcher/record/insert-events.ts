import type { ChangeOp } from '../../../shared/domain/change.ts';
import { formatLsn, type Lsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { EVENTS_CHANNEL } from '../../../shared/protocol/names.ts';
import { isTracing } from '../../../shared/runtime/tracing.ts';

/** An event to insert into the log. The inserting statement looks up its account. */
export interface RecordedEvent {
  readonly commitLsn: Lsn;
  readonly index: number;
  readonly xid: bigint;
  /** `source_id` of the account. */
  readonly account: string;
  readonly type: string;
  /** The operation on the row. `type` alone does not tell a deletion from a soft-deletion. */
  readonly op: ChangeOp;
  /**
   * Columns whose `null` in the payload is a JSON null, not SQL NULL, and the content of `Change.filled`:
   * `{"data":[…],"previous":[…],"filled":{"columns":[…],"lsn":"X/Y"}}`.
   */
  readonly jsonNulls: string;
  readonly resource: string;
  readonly recordKey: string;
  /** RFC 3339 in UTC with microseconds. */
  readonly committedAt: string;
  /** The payload before and after the account's ID, which only the insert knows. */
  readonly payloadHead: string;
  readonly payloadTail: string;
  /** Trace context of the span that records it, when it is traced. */
  readonly traceparent?: string | undefined;
}

/** PostgreSQL limits a notification to 8,000 bytes. More accounts than fit are split over several. */
const MAX_NOTIFIED_CHARACTERS = 7_000;

/**
 * Looks up accounts in the statement's own snapshot. An account committed before a change is visible, because the
 * change arrives later. Repeats insert nothing, so Kafka may deliver a message again. Two dispatchers may insert the
 * same rows while a partition changes hands; both insert in one order, so they can't deadlock.
 *
 * Other dispatchers are notified in the same transaction, so they never look too early. No notification is sent while
 * there are none, because each wakes a server process and ours. A dispatcher that has just started looks by itself.
 */
const insertStatement = (isTraced: boolean) => `
  with recorded as (
    insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload, op, json_nulls
                        ${isTraced ? ', traceparent' : ''})
    select e.commit_lsn, e.idx, a.id, e.xid, e.type, e.resource, e.record_key, e.committed_at, e.head || a.id || e.tail,
           e.op, e.json_nulls::jsonb ${isTraced ? ', e.traceparent' : ''}
      from unnest($1::pg_lsn[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                  $8::timestamptz[], $9::text[], $10::text[], $12::text[], $13::text[]
                  ${isTraced ? ', $14::text[]' : ''})
           as e (commit_lsn, idx, xid, account, type, resource, record_key, committed_at, head, tail, op, json_nulls
                 ${isTraced ? ', traceparent' : ''})
      join accounts a on a.source_id = e.account
     order by e.commit_lsn, e.idx
    on conflict do nothing
    returning account_id
  ), touched as (
    select distinct account_id from recorded
  ), placed as (
    select account_id, sum(length(account_id) + 1) over (order by account_id) / ${MAX_NOTIFIED_CHARACTERS} as place
      from touched
  ), notifications as (
    select string_agg(account_id, ',') as accounts from placed group by place
  )
  select json_object_agg((select source_id from accounts where id = account_id), account_id) as accounts, (select count(*)::int from recorded) as count,
         case when exists (select from dispatchers where id <> $11 and expires_at > now())
              then (select count(pg_notify('${EVENTS_CHANNEL}', $11 || ' ' || n.accounts)::text) from notifications n) end
    from touched
  having count(*) > 0`;

const INSERT_EVENTS = insertStatement(false);
/** Traced events are rare, so the usual statement has no parameter for them. */
const INSERT_TRACED_EVENTS = insertStatement(true);

export interface InsertedEvents {
  /** IDs, by `source_id`, of the accounts that got new events. */
  readonly accounts: ReadonlyMap<string, string>;
  /** Number of new events. */
  readonly count: number;
}

/**
 * Inserts events of known accounts, all or none. The partitions of their days must exist. If an account got a new
 * event, the log holds all of its given events afterwards, whichever process inserted them.
 */
export async function insertEvents(
  db: Queryable,
  sender: string,
  events: readonly RecordedEvent[],
): Promise<InsertedEvents> {
  const isTraced = isTracing() && events.some(({ traceparent }) => traceparent !== undefined);
  const { rows } = await db.query<{ accounts: Record<string, string>; count: number }>({
    name: isTraced ? 'insert_traced_events' : 'insert_events',
    text: isTraced ? INSERT_TRACED_EVENTS : INSERT_EVENTS,
    values: [
      events.map((event) => formatLsn(event.commitLsn)),
      events.map((event) => event.index),
      events.map((event) => event.xid.toString()),
      events.map((event) => event.account),
      events.map((event) => event.type),
      events.map((event) => event.resource),
      events.map((event) => event.recordKey),
      events.map((event) => event.committedAt),
      events.map((event) => event.payloadHead),
      events.map((event) => event.payloadTail),
      sender,
      events.map((event) => event.op),
      events.map((event) => event.jsonNulls),
      ...(isTraced ? [events.map(({ traceparent }) => traceparent ?? null)] : []),
    ],
  });
  const { accounts = {}, count = 0 } = rows[0] ?? {};
  return { accounts: new Map(Object.entries(accounts)), count };
}
