import { formatLsn, type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Position } from '../../../shared/domain/position.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** Every later reader of the source sees all transactions up to this LSN. Undefined before the feed ever ran. */
export async function findSettledLsn(db: Queryable): Promise<Lsn | undefined> {
  const { rows } = await db.query<{ lsn: string }>('select settled_lsn::text as lsn from feed_state');
  return rows[0] === undefined ? undefined : parseLsn(rows[0].lsn);
}

/**
 * An early retained event: the account's oldest, or any event of the oldest partition if that is earlier. No
 * index leads to the oldest event of all accounts, and callers only need an event that is early enough.
 */
export function findEarlyEvent(db: Queryable, accountId: string): Promise<Position | undefined> {
  return findPosition(
    db,
    `select commit_lsn::text as lsn, idx from (
       (select commit_lsn, idx from events where account_id = $1 order by commit_lsn, idx limit 1)
       union all (select commit_lsn, idx from events limit 1)
     ) early order by commit_lsn, idx limit 1`,
    [accountId],
  );
}

export function findNewestEvent(db: Queryable, accountId: string): Promise<Position | undefined> {
  return findPosition(
    db,
    `select commit_lsn::text as lsn, idx from events where account_id = $1
     order by commit_lsn desc, idx desc limit 1`,
    [accountId],
  );
}

/** The first event in feed order that was committed at or after a time. */
export function findFirstEventSince(
  db: Queryable,
  accountId: string,
  since: string,
): Promise<Position | undefined> {
  return findPosition(
    db,
    `select commit_lsn::text as lsn, idx from events where account_id = $1 and committed_at >= $2
     order by commit_lsn, idx limit 1`,
    [accountId, since],
  );
}

async function findPosition(db: Queryable, text: string, values: unknown[]): Promise<Position | undefined> {
  const { rows } = await db.query<{ lsn: string; idx: number }>(text, values);
  return rows[0] === undefined ? undefined : { commitLsn: parseLsn(rows[0].lsn), index: rows[0].idx };
}

export interface EventQuery {
  readonly accountId: string;
  readonly after: Position;
  readonly resource: string | undefined;
  /**
   * Leaves out events that the hand-off's snapshot holds, up to its seal. Never leaves out a reset after a
   * gap, whose xid is 0.
   */
  readonly handOff: { readonly snapshot: string; readonly untilLsn: Lsn } | undefined;
  readonly limit: number;
}

export interface EventPage {
  /** Payloads as they were recorded, in feed order. */
  readonly payloads: readonly string[];
  /** The last position that was examined. */
  readonly readUpTo: Position;
  readonly hasMore: boolean;
}

/**
 * Events that are examined for one page. A reader whose filter matches few events still advances by this
 * many, so that no request walks the whole log and none walks the same part twice.
 */
const MAX_EXAMINED = 10_000;

/**
 * Bytes of the events of one page, which bounds the memory of reader and api. One larger event is a page of
 * its own.
 */
const MAX_PAGE_BYTES = 8 * 1_024 * 1_024;

const READ_EVENTS = `
with examined as (
  select commit_lsn, idx, resource, payload,
         $5::pg_snapshot is not null and xid <> 0 and commit_lsn <= $6::pg_lsn
           and pg_visible_in_snapshot(xid::text::xid8, $5::pg_snapshot) as is_held
  from events
  where account_id = $1 and (commit_lsn, idx) > ($2::pg_lsn, $3::int)
  order by commit_lsn, idx limit $8
), wanted as (
  select commit_lsn, idx, payload, row_number() over place as number,
         sum(octet_length(payload)) over place as bytes
  from examined
  where not is_held and ($4::text is null or resource = $4)
  window place as (order by commit_lsn, idx)
  order by commit_lsn, idx limit $7 + 1
), last as (
  select commit_lsn, idx from examined order by commit_lsn desc, idx desc limit 1
)
select wanted.commit_lsn::text as lsn, wanted.idx, wanted.payload,
       last.commit_lsn::text as last_lsn, last.idx as last_idx,
       (select count(*)::int from examined) as examined_count, (select count(*)::int from wanted) as wanted_count
from last left join wanted on number = 1 or number <= $7 and bytes <= ${MAX_PAGE_BYTES}
order by wanted.commit_lsn, wanted.idx`;

interface EventRow {
  lsn: string | null;
  idx: number | null;
  payload: string | null;
  last_lsn: string;
  last_idx: number;
  examined_count: number;
  wanted_count: number;
}

export async function readEvents(db: Queryable, query: EventQuery): Promise<EventPage> {
  const { accountId, after, resource, handOff, limit } = query;
  // Without a filter, one event more than the page holds shows whether there are more.
  const examine = resource === undefined && handOff === undefined ? limit + 1 : MAX_EXAMINED;
  const { rows } = await db.query<EventRow>({
    name: 'read_events',
    text: READ_EVENTS,
    values: [
      accountId,
      formatLsn(after.commitLsn),
      after.index,
      resource ?? null,
      handOff?.snapshot ?? null,
      handOff === undefined ? null : formatLsn(handOff.untilLsn),
      limit,
      examine,
    ],
  });
  const [first] = rows;
  if (first === undefined) return { payloads: [], readUpTo: after, hasMore: false };
  const page = rows.flatMap(({ lsn, idx, payload }) =>
    lsn === null || idx === null || payload === null ? [] : [{ lsn, idx, payload }],
  );
  const lastOfPage = page.at(-1);
  if (first.wanted_count > page.length && lastOfPage !== undefined) {
    return {
      payloads: page.map(({ payload }) => payload),
      readUpTo: { commitLsn: parseLsn(lastOfPage.lsn), index: lastOfPage.idx },
      hasMore: true,
    };
  }
  return {
    payloads: page.map(({ payload }) => payload),
    readUpTo: { commitLsn: parseLsn(first.last_lsn), index: first.last_idx },
    hasMore: first.examined_count === examine,
  };
}

export async function findEventPayload(
  db: Queryable,
  accountId: string,
  { commitLsn, index }: Position,
): Promise<string | undefined> {
  const { rows } = await db.query<{ payload: string }>(
    // A reset for events that came too late has the place of one of them, and a later time.
    `select payload from deliverable_events where account_id = $1 and commit_lsn = $2 and idx = $3
      order by committed_at desc limit 1`,
    [accountId, formatLsn(commitLsn), index],
  );
  return rows[0]?.payload;
}
