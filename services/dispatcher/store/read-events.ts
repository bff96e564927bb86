import { formatLsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Position } from '../../../shared/domain/position.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** Larger texts are fetched one by one when it is their turn, so that a page of events stays small in memory. */
const MAX_INLINE_BYTES = 16 * 1_024;

export interface LoggedEvent {
  readonly position: Position;
  readonly xid: bigint;
  readonly type: string;
  readonly resource: string;
  readonly recordKey: string;
  readonly committedAt: string;
  /** Undefined when it is large, or of a type that was not asked for. */
  readonly payload: string | undefined;
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
}

const READ_EVENTS = `
  select commit_lsn, idx, xid::text, type, resource, record_key, committed_at::text,
         case when octet_length(payload) <= ${MAX_INLINE_BYTES} and type like any($5) then payload end as payload
    from events
   where account_id = $1 and (commit_lsn, idx) > ($2::pg_lsn, $3::int)
   order by commit_lsn, idx
   limit $4`;

/**
 * The next events of an account after a position, in order. All events of an account come into the log through one
 * partition, each batch at once, so what is read never has a gap that is filled later.
 */
export async function readEvents(
  db: Queryable,
  accountId: string,
  after: Position,
  limit: number,
  patterns: readonly string[],
): Promise<LoggedEvent[]> {
  const { rows } = await db.query<EventRow>({
    name: 'read_events',
    text: READ_EVENTS,
    values: [accountId, formatLsn(after.commitLsn), after.index, limit, patterns.map(toLikePattern)],
  });
  return rows.map((row) => ({
    position: { commitLsn: parseLsn(row.commit_lsn), index: row.idx },
    xid: BigInt(row.xid),
    type: row.type,
    resource: row.resource,
    recordKey: row.record_key,
    committedAt: row.committed_at,
    payload: row.payload ?? undefined,
  }));
}

function toLikePattern(pattern: string): string {
  return pattern.replace(/[\\%_]/g, '\\$&').replace('*', '%');
}

/** One event's text, or undefined when it is no longer kept. `committedAt` is as it was read. */
export async function readPayload(
  db: Queryable,
  accountId: string,
  position: Position,
  committedAt: string,
): Promise<{ payload: string; type: string } | undefined> {
  const { rows } = await db.query<{ payload: string; type: string }>({
    name: 'read_payload',
    text: `select payload, type from deliverable_events
            where account_id = $1 and commit_lsn = $2 and idx = $3 and committed_at = $4`,
    values: [accountId, formatLsn(position.commitLsn), position.index, committedAt],
  });
  return rows[0];
}

/** Events of one account that are in the log, in order and without a gap between them. */
export interface EventRun {
  readonly accountId: string;
  /** Between this position and the first of the events the account has no others; undefined when that is not known. */
  readonly after: Position | undefined;
  readonly events: readonly LoggedEvent[];
}
