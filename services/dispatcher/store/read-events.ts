import { formatLsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Position } from '../../../shared/domain/position.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { isTracing } from '../../../shared/runtime/tracing.ts';
import type { Delivery } from './progress.ts';

/** Larger payloads are loaded one by one when needed, so that a page of events stays small in memory. */
const MAX_INLINE_BYTES = 16 * 1_024;

export interface LoggedEvent {
  readonly position: Position;
  readonly xid: bigint;
  readonly type: string;
  readonly resource: string;
  readonly recordKey: string;
  readonly committedAt: string;
  /** Undefined when it is large, or of a type that was not requested. */
  readonly payload: string | undefined;
  /** Trace context of the span that recorded it, when it was traced and tracing is on. */
  readonly traceparent?: string | undefined;
}

interface EventRow {
  commit_lsn: string;
  idx: number;
  xid: string;
  type: string;
  resource: string;
  record_key: string;
  committed_at: string;
  payload: string | null;
  traceparent?: string | null;
}

const readStatement = (traceColumn: '' | ', traceparent') => `
  select commit_lsn, idx, xid::text, type, resource, record_key, committed_at::text,
         case when octet_length(payload) <= ${MAX_INLINE_BYTES} and type like any($5) then payload end as payload ${traceColumn}
    from events
   where account_id = $1 and (commit_lsn, idx) > ($2::pg_lsn, $3::int)
   order by commit_lsn, idx
   limit $4`;

const READ_EVENTS = readStatement('');
const READ_TRACED_EVENTS = readStatement(', traceparent');

/**
 * Reads the next events of an account after a position, in order. All events of an account are inserted by way of one
 * partition, each batch atomically, so a read never leaves a gap that is filled later.
 */
export async function readEvents(
  db: Queryable,
  accountId: string,
  after: Position,
  limit: number,
  patterns: readonly string[],
): Promise<LoggedEvent[]> {
  const { rows } = await db.query<EventRow>({
    name: isTracing() ? 'read_traced_events' : 'read_events',
    text: isTracing() ? READ_TRACED_EVENTS : READ_EVENTS,
    values: [accountId, formatLsn(after.commitLsn), after.index, limit, patterns.map(toLikePattern)],
  });
  return rows.map((row) => {
    const event = {
      position: { commitLsn: parseLsn(row.commit_lsn), index: row.idx },
      xid: BigInt(row.xid),
      type: row.type,
      resource: row.resource,
      recordKey: row.record_key,
      committedAt: row.committed_at,
      payload: row.payload ?? undefined,
    };
    return row.traceparent == null ? event : { ...event, traceparent: row.traceparent };
  });
}

function toLikePattern(pattern: string): string {
  return pattern.replace(/[\\%_]/g, '\\$&').replace('*', '%');
}

const readPayloadStatement = (traceColumn: string) => `
  select payload, type ${traceColumn} from deliverable_events
   where account_id = $1 and commit_lsn = $2 and idx = $3 and committed_at = $4`;

const READ_PAYLOAD = readPayloadStatement('');
const READ_TRACED_PAYLOAD = readPayloadStatement(`, (
  select e.traceparent from events e
   where e.account_id = $1 and e.commit_lsn = $2 and e.idx = $3 and e.committed_at = $4) as traceparent`);

/** Reads one event's payload; undefined when it is past its retention. `committedAt` is the text that was read. */
export async function readPayload(
  db: Queryable,
  accountId: string,
  position: Position,
  committedAt: string,
): Promise<{ payload: string; type: string; traceparent?: string | null } | undefined> {
  const { rows } = await db.query<{ payload: string; type: string; traceparent?: string | null }>({
    name: isTracing() ? 'read_traced_payload' : 'read_payload',
    text: isTracing() ? READ_TRACED_PAYLOAD : READ_PAYLOAD,
    values: [accountId, formatLsn(position.commitLsn), position.index, committedAt],
  });
  return rows[0];
}

/** Logged events of one account, in order and without a gap. */
export interface EventRun {
  readonly accountId: string;
  /** The account has no other events between this position and the first of these; undefined when unknown. */
  readonly after: Position | undefined;
  readonly events: readonly LoggedEvent[];
}

/** Events scanned per query, about ten milliseconds. The log has no index by record, which would slow all writes. */
const SCANNED_EVENTS = 10_000;

export interface RecordEvents {
  readonly events: readonly Omit<LoggedEvent, 'payload'>[];
  /** Where the next scan starts; undefined at the end. */
  readonly readTo: Position | undefined;
}

interface Row {
  scanned: number;
  end_lsn: string;
  end_idx: number;
  commit_lsn: string | null;
  idx: number;
  xid: string;
  type: string;
  resource: string;
  record_key: string;
  committed_at: string;
}

const READ_RECORD_EVENTS = `
  with scanned as materialized (
    select commit_lsn, idx, xid, type, resource, record_key, committed_at from events
     where account_id = $1 and (commit_lsn, idx) > ($2::pg_lsn, $3::int) and (commit_lsn, idx) <= ($4::pg_lsn, $5::int)
     order by commit_lsn, idx limit $8
  ), found as (
    select * from scanned where resource = split_part($6, '/', 1) and resource || '/' || record_key = $6
     order by commit_lsn, idx limit $7
  )
  select (select count(*)::int from scanned) as scanned, last.commit_lsn as end_lsn, last.idx as end_idx,
         f.commit_lsn, f.idx, f.xid::text, f.type, f.resource, f.record_key, f.committed_at::text
    from (select commit_lsn, idx from scanned order by commit_lsn desc, idx desc limit 1) last
    left join found f on true
   order by f.commit_lsn, f.idx`;

/**
 * Reads the events of one record (`<resource>/<record key>`) after one position and up to another, in order, without
 * payloads.
 */
export async function readRecordEvents(
  db: Queryable,
  accountId: string,
  record: string,
  after: Position,
  upTo: Position,
  limit: number,
  scannedEvents: number = SCANNED_EVENTS,
): Promise<RecordEvents> {
  const { rows } = await db.query<Row>({
    name: 'read_record_events',
    text: READ_RECORD_EVENTS,
    values: [
      accountId,
      formatLsn(after.commitLsn),
      after.index,
      formatLsn(upTo.commitLsn),
      upTo.index,
      record,
      limit,
      scannedEvents,
    ],
  });
  const events = rows.flatMap((row) =>
    row.commit_lsn === null
      ? []
      : {
          position: { commitLsn: parseLsn(row.commit_lsn), index: row.idx },
          xid: BigInt(row.xid),
          type: row.type,
          resource: row.resource,
          recordKey: row.record_key,
          committedAt: row.committed_at,
        },
  );
  const [first] = rows;
  if (first === undefined) return { events, readTo: undefined };
  if (events.length === limit) return { events, readTo: events.at(-1)?.position };
  if (first.scanned < scannedEvents) return { events, readTo: undefined };
  return { events, readTo: { commitLsn: parseLsn(first.end_lsn), index: first.end_idx } };
}

interface RetryRow {
  webhook_id: string;
  commit_lsn: string;
  idx: number;
  committed_at: string;
  record_key: string;
  attempt_count: number;
  next_attempt_at: Date | null;
  asked_xid: string;
  has_more: boolean;
}

/** Reads the pending retries of these endpoints, by endpoint, in the order of positions. */
export async function readRetries(
  db: Queryable,
  endpointIds: readonly string[],
): Promise<Map<string, Delivery[]>> {
  const { rows } = await db.query<RetryRow>({
    name: 'read_retries',
    text: `select webhook_id, commit_lsn, idx, committed_at::text, record_key, attempt_count, next_attempt_at, has_more, asked_xid
             from webhook_parked where webhook_id = any($1) and state = 'waiting'
            order by webhook_id, commit_lsn, idx`,
    values: [endpointIds],
  });
  const byEndpoint = new Map<string, Delivery[]>();
  for (const row of rows) {
    const list = byEndpoint.get(row.webhook_id) ?? [];
    byEndpoint.set(row.webhook_id, list);
    list.push({
      position: { commitLsn: parseLsn(row.commit_lsn), index: row.idx },
      committedAt: row.committed_at,
      type: undefined,
      resource: row.record_key.slice(0, row.record_key.indexOf('/')),
      record: row.record_key,
      payload: undefined,
      attemptCount: row.attempt_count,
      readAtMs: 0,
      inlineCharacters: 0,
      pending: undefined,
      nextAttemptAtMs: row.next_attempt_at?.getTime() ?? 0,
      askedXid: row.asked_xid,
      hasMore: row.has_more,
    });
  }
  return byEndpoint;
}
