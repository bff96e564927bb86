import { formatLsn, type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import { FEED_LIMIT, formatPosition, type Position, parsePosition } from '../../../shared/domain/position.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';

export interface EventFilter {
  readonly accountId: string;
  readonly types: readonly string[] | undefined;
  readonly resource: string | undefined;
  /** As in `events.record_key`. */
  readonly recordKey: string | undefined;
  /** RFC 3339, inclusive. */
  readonly from: string | undefined;
  /** RFC 3339, exclusive. */
  readonly to: string | undefined;
}

/** Where a search continues: before this position. */
export interface SearchPlace {
  readonly before: string;
}

export interface FoundEvents {
  /** Payloads as they were recorded, newest first. */
  readonly rows: readonly string[];
  readonly bytes: number;
  /** More would be too many bytes. */
  readonly isFull: boolean;
  readonly next: SearchPlace | undefined;
}

/** Events that one statement examines for few that match: some ten milliseconds. No index leads to records or types. */
const MAX_EXAMINED = 10_000;

/** Bytes of the events of one page. One larger event is a page of its own. */
export const MAX_PAGE_BYTES = 8 * 1_024 * 1_024;

const DAY_MS = 24 * 60 * 60_000;

/**
 * Commit times follow the order of the feed only nearly: a transaction notes its time before its commit record, and clocks
 * are set. Events this far beyond a range of time are examined too.
 */
const DISORDER_MS = 15 * 60_000;

/** The range of days prunes partitions. Its edges are examined like any other condition. */
const SEARCH = `
with examined as materialized (
  select commit_lsn, idx, committed_at, type, resource, record_key from events
   where account_id = $1 and (commit_lsn, idx) < ($2::pg_lsn, $3::int)
     and committed_at >= $4::timestamptz and committed_at < $5::timestamptz
   order by commit_lsn desc, idx desc limit $6
), wanted as materialized (
  select commit_lsn, idx, committed_at from examined
   where ($7::text[] is null or type = any($7)) and ($8::text is null or resource = $8)
     and ($9::text is null or record_key = $9)
     and committed_at >= coalesce($10::timestamptz, '-infinity') and committed_at < coalesce($11::timestamptz, 'infinity')
   order by commit_lsn desc, idx desc limit $12 + 1
), sized as (
  select e.commit_lsn, e.idx, e.payload, octet_length(e.payload) as size, row_number() over place as number,
         sum(octet_length(e.payload)) over place as bytes
    from wanted w
    join events e on e.account_id = $1 and e.commit_lsn = w.commit_lsn and e.idx = w.idx and e.committed_at = w.committed_at
  window place as (order by e.commit_lsn desc, e.idx desc)
), last as (
  select commit_lsn, idx, committed_at from examined order by commit_lsn, idx limit 1
)
select sized.commit_lsn::text as lsn, sized.idx, sized.payload, sized.size,
       last.commit_lsn::text as last_lsn, last.idx as last_idx, last.committed_at as last_at,
       (select count(*)::int from examined) as examined, (select count(*)::int from wanted) as wanted
  from last left join sized on number = 1 or number <= $12 and bytes <= ${MAX_PAGE_BYTES}
 order by number`;

interface Row {
  lsn: string | null;
  idx: number | null;
  payload: string | null;
  size: number | null;
  last_lsn: string;
  last_idx: number;
  last_at: Date;
  examined: number;
  wanted: number;
}

/** One statement's worth of a search, newest first: up to `limit` events, or fewer and a place where it continues. */
export async function searchEvents(
  db: Queryable,
  filter: EventFilter,
  after: SearchPlace | undefined,
  limit: number,
): Promise<FoundEvents> {
  const { accountId, types, resource, recordKey, from, to } = filter;
  const [fromMs, toMs] = [millisOf(from), millisOf(to)];
  const before = parsePosition(after?.before ?? '') ?? (await findStart(db, filter));
  const isFiltered = [types, resource, recordKey, from, to].some((part) => part !== undefined);
  const examine = isFiltered ? MAX_EXAMINED : limit + 1;
  const { rows } = await db.query<Row>(SEARCH, [
    accountId,
    formatLsn(before.commitLsn),
    before.index,
    fromMs === undefined ? '-infinity' : startOfDay(fromMs),
    toMs === undefined ? 'infinity' : startOfDay(toMs + DAY_MS),
    examine,
    types ?? null,
    resource ?? null,
    recordKey ?? null,
    from ?? null,
    to ?? null,
    limit,
  ]);
  const [first] = rows;
  if (first === undefined) return { rows: [], bytes: 0, isFull: false, next: undefined };
  const page = rows.filter((row) => row.payload !== null);
  const found = {
    rows: page.map(({ payload }) => payload ?? ''),
    bytes: page.reduce((sum, { size }) => sum + (size ?? 0), 0),
    isFull: first.wanted > page.length && page.length < limit,
  };
  const lastOfPage = page.at(-1);
  if (first.wanted > page.length && lastOfPage !== undefined) {
    return { ...found, next: placeAt(lastOfPage.lsn ?? '0/0', lastOfPage.idx ?? 0) };
  }
  const isPast = fromMs !== undefined && first.last_at.getTime() < fromMs - DISORDER_MS;
  const isOver = first.examined < examine || isPast;
  return { ...found, next: isOver ? undefined : placeAt(first.last_lsn, first.last_idx) };
}

function placeAt(lsn: string, index: number): SearchPlace {
  return { before: formatPosition({ commitLsn: parseLsn(lsn), index }) };
}

/** Events of this much WAL are examined rather than passed by another probe. */
const NEAR_BYTES = 64n * 1_024n;

interface Edge {
  lsn: string;
  committed_at: Date;
}

/**
 * A position after every event of the range of time, found by bisection along the index of its last day: an account may
 * have millions of later events in the same day.
 */
async function findStart(db: Queryable, { accountId, to }: EventFilter): Promise<Position> {
  const toMs = millisOf(to);
  if (toMs === undefined) return FEED_LIMIT;
  const day = startOfDay(toMs);
  const targetMs = toMs + DISORDER_MS;
  const probe = async (condition: string, order: string, lsn: Lsn): Promise<Edge | undefined> => {
    const { rows } = await db.query<Edge>(
      `select commit_lsn::text as lsn, committed_at from events
        where account_id = $1 and commit_lsn ${condition} $2::pg_lsn and committed_at >= $3 and committed_at < $4
        order by commit_lsn ${order}, idx ${order} limit 1`,
      [accountId, formatLsn(lsn), day, startOfDay(toMs + DAY_MS)],
    );
    return rows[0];
  };
  const first = await probe('>=', '', 0n);
  const last = await probe('<=', 'desc', FEED_LIMIT.commitLsn);
  if (first === undefined || last === undefined || last.committed_at.getTime() < targetMs) return FEED_LIMIT;
  let low = parseLsn(first.lsn);
  // From here on all events are later than the target.
  let high = parseLsn(last.lsn);
  while (high - low > NEAR_BYTES) {
    const middle = (low + high) / 2n;
    const next = await probe('>=', '', middle);
    if (next === undefined || next.committed_at.getTime() >= targetMs) high = middle;
    else low = parseLsn(next.lsn) + 1n;
  }
  return { commitLsn: high, index: 0 };
}

/** Microseconds are cut: it serves for days, and for times that differ by minutes. */
function millisOf(instant: string | undefined): number | undefined {
  return instant === undefined ? undefined : Date.parse(instant);
}

function startOfDay(ms: number): Date {
  return new Date(Math.floor(ms / DAY_MS) * DAY_MS);
}
