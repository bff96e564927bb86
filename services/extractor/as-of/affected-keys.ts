import type { Pool } from 'pg';
import QueryStream from 'pg-query-stream';
import { announceKeys } from '../../../shared/control/exports/changed-keys.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import type { RowTexts } from '../../../shared/domain/row-type.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { ChunkImage } from './as-of-queries.ts';
import type { StoredEvent } from './event-row.ts';
import type { PlacedKey } from './plan-as-of.ts';

/** Sorting the events of a busy account takes longer than any other statement in the control store. */
const LONG_TIMEOUT = '10min';

/**
 * The first event that can make the state at the cut differ from the rows. The rows of a chunked export count from the
 * start of its read.
 */
const FROM_LSN = `least(e.cut_lsn, coalesce((e.read_since->>'start_lsn')::pg_lsn, e.start_lsn))`;

/**
 * Events of the run's account that can make the state at the cut differ from the rows: all at or after the cut, and all
 * that the rows may lack. The run's seal has arrived, so all events of the snapshot are recorded.
 */
const AROUND_CUT = `
  from exports e join events v on v.account_id = e.account_id
  where e.id = $1 and e.run_attempt = $2 and v.commit_lsn >= ${FROM_LSN} and v.commit_lsn <= e.sealed_lsn`;

/** A loss is announced where it is noticed. That can be after the seal although the lost changes were before it. */
const FIND_RESET = `
select v.resource, v.committed_at::text ${AROUND_CUT} and v.type = 'feed.reset' and v.resource = any($3)
union all
select v.resource, v.committed_at::text from exports e join events v on v.account_id = e.account_id
where e.id = $1 and v.commit_lsn >= ${FROM_LSN} and v.xid = 0 and v.type = 'feed.reset'
  and v.resource = any($3)
limit 1`;

/** @throws ExportFailedError when a table was truncated since the cut or changes may be lost, so rows have no events */
export async function assertNoResetSince(db: Queryable, { id, runAttempt, resources }: ClaimedExport) {
  const { rows } = await db.query<{ resource: string; committed_at: string }>(FIND_RESET, [
    id,
    runAttempt,
    resources,
  ]);
  const found = rows[0];
  if (found === undefined) return;
  throw new ExportFailedError(
    'feed_reset',
    `At ${found.committed_at}, ${found.resource} was truncated, or changes may have been lost: use a later as_of.`,
  );
}

/**
 * Whether all rows include the event. Under one snapshot that snapshot decides; in a chunked export, the one at the
 * start of the read.
 */
const IS_IN_ALL = `pg_visible_in_snapshot(v.xid::text::xid8, coalesce((e.read_since->>'snapshot')::pg_snapshot, $4::pg_snapshot))
  and v.commit_lsn < coalesce((e.read_since->>'lsn')::pg_lsn, e.sealed_lsn)`;

/**
 * A key is affected if one of its events is after the cut and in the snapshot, so that rows may include it, or is
 * before the cut and not in all rows. Stores for each key the event nearest to the cut: the first after it, otherwise
 * the last before it.
 */
const COLLECT = `
insert into export_keys (export_id, run_attempt, resource, place, record_key, event_lsn, event_idx, event_at, is_known)
select $1, $2, $3, row_number() over (order by k.record_key) - 1, k.record_key, k.commit_lsn, k.idx, k.committed_at, false
from (
  select distinct on (a.record_key) a.*
  from (
    select v.record_key, v.commit_lsn, v.idx, v.committed_at, v.commit_lsn >= e.cut_lsn as is_behind,
      bool_or(case when v.commit_lsn >= e.cut_lsn then pg_visible_in_snapshot(v.xid::text::xid8, $4::pg_snapshot)
        else not (${IS_IN_ALL}) end) over (partition by v.record_key) as is_affected
    ${AROUND_CUT} and v.resource = $3 and v.type <> 'feed.reset'
  ) a
  where a.is_affected
  order by a.record_key, a.is_behind desc,
    case when a.is_behind then a.commit_lsn end, case when a.is_behind then a.idx end,
    a.commit_lsn desc, a.idx desc
) k`;

/** Collects the affected keys of one resource. @returns their number */
export async function collectAffected(
  pool: Pool,
  { id, runAttempt }: ClaimedExport,
  snapshot: string,
  resource: string,
): Promise<number> {
  await announceKeys(pool, id);
  return inTransaction(pool, async (db) => {
    await db.query(`set local statement_timeout = '${LONG_TIMEOUT}'`);
    const { rowCount } = await db.query(COLLECT, [id, runAttempt, resource, snapshot]);
    return rowCount ?? 0;
  });
}

/** An event of an affected key. */
export interface KeyEvent {
  readonly place: number;
  readonly recordKey: string;
  /** At or after the cut. */
  readonly isBehind: boolean;
  readonly event: StoredEvent;
}

export interface KeyEventRow {
  place: string;
  record_key: string;
  /** Null without a cut. */
  is_behind: boolean | null;
  op: string | null;
  json_nulls: StoredEvent['jsonNulls'];
  payload: string;
  is_filled_later: boolean;
}

/**
 * Values that capture read later were visible before `filled.lsn`. The state at the cut includes everything written
 * before it. A snapshot sees everything up to `start_lsn`, because the feed had settled past that. So up to those
 * positions a later value belongs to the state too.
 */
export const EVENT_COLUMNS = `k.place::text, k.record_key, v.commit_lsn >= e.cut_lsn as is_behind, v.op, v.json_nulls, v.payload,
  coalesce((v.json_nulls->'filled'->>'lsn')::pg_lsn > coalesce(e.cut_lsn, e.start_lsn, '0/0'), false) as is_filled_later`;

export function toKeyEvent(row: KeyEventRow): KeyEvent {
  const { op, json_nulls: jsonNulls, payload, is_filled_later: isFilledLater } = row;
  return {
    place: Number(row.place),
    recordKey: row.record_key,
    isBehind: row.is_behind ?? false,
    event: { op, jsonNulls, payload, isFilledLater },
  };
}

/** Events in memory at once. Each holds a whole record. */
const EVENTS_AT_ONCE = 200;

const READ_ALL = `
select ${EVENT_COLUMNS}
from exports e
join export_keys k on k.export_id = e.id and k.run_attempt = e.run_attempt and not k.is_known
join events v on v.account_id = e.account_id and v.resource = k.resource and v.record_key = k.record_key
  and v.type <> 'feed.reset' and v.commit_lsn <= e.sealed_lsn
where e.id = $1 and e.run_attempt = $2 and k.resource = $3
order by k.place, v.commit_lsn, v.idx`;

/** The stored events of the keys from a place on, in order of place, without events that have expired since. */
export async function readNextEvents(
  db: Queryable,
  { id, runAttempt }: ClaimedExport,
  resource: string,
  fromPlace: number,
  limit: number,
): Promise<KeyEvent[]> {
  const { rows } = await db.query<KeyEventRow>(
    `select ${EVENT_COLUMNS}
     from exports e
     join export_keys k on k.export_id = e.id and k.run_attempt = e.run_attempt
     join events v on v.account_id = e.account_id and v.commit_lsn = k.event_lsn and v.idx = k.event_idx
       and v.committed_at = k.event_at
     where e.id = $1 and e.run_attempt = $2 and k.resource = $3 and k.place >= $4 and k.place < $5
     order by k.place`,
    [id, runAttempt, resource, fromPlace, fromPlace + limit],
  );
  return rows.map(toKeyEvent);
}

/**
 * Yields all events of the keys for which one event is not enough: in order of place, and in commit order within a key. One
 * scan of the account's events, because no index finds the events of a key.
 */
export async function readAllEvents(
  pool: Pool,
  { id, runAttempt }: ClaimedExport,
  resource: string,
  onEvent: (event: KeyEvent) => Promise<void>,
): Promise<void> {
  await inTransaction(pool, async (db) => {
    await db.query(`set local statement_timeout = '${LONG_TIMEOUT}'`);
    const rows: AsyncIterable<KeyEventRow> = db.query(
      new QueryStream(READ_ALL, [id, runAttempt, resource], { batchSize: EVENTS_AT_ONCE }),
    );
    for await (const row of rows) await onEvent(toKeyEvent(row));
  });
}

/** A record at the cut: wire texts in column order, or null if it did not exist. */
export interface KeyImage {
  readonly place: number;
  readonly image: RowTexts | null;
}

export async function saveImages(
  db: Queryable,
  { id, runAttempt }: ClaimedExport,
  resource: string,
  images: readonly KeyImage[],
): Promise<void> {
  await db.query({
    name: 'save_key_images',
    text: `update export_keys k set image = n.image, is_known = true
     from unnest($4::bigint[], $5::text[]) as n(place, image)
     where k.export_id = $1 and k.run_attempt = $2 and k.resource = $3 and k.place = n.place`,
    values: [
      id,
      runAttempt,
      resource,
      images.map(({ place }) => place),
      images.map(({ image }) => image && JSON.stringify(image)),
    ],
  });
}

/** Keys with their images, from a place on. */
export async function readImagePage(
  db: Queryable,
  { id, runAttempt }: ClaimedExport,
  resource: string,
  fromPlace: number,
  limit: number,
): Promise<{ place: number; recordKey: string; image: (string | null)[] | null }[]> {
  const { rows } = await db.query<{ place: string; record_key: string; image: string | null }>(
    `select place::text, record_key, image from export_keys
     where export_id = $1 and run_attempt = $2 and resource = $3 and place >= $4 and place < $5 order by place`,
    [id, runAttempt, resource, fromPlace, fromPlace + limit],
  );
  return rows.map(({ place, record_key: recordKey, image }) => ({
    place: Number(place),
    recordKey,
    image: image === null ? null : JSON.parse(image),
  }));
}

/** Assigns these keys to the chunk, and says for which of them it has rows. */
export async function assignAffected(
  db: Queryable,
  { id, runAttempt }: ClaimedExport,
  resource: string,
  chunk: number,
  keys: readonly PlacedKey[],
): Promise<void> {
  if (keys.length === 0) return;
  const { rowCount } = await db.query(
    `update export_keys k set chunk = $4, is_in = n.is_in
     from unnest($5::bigint[], $6::boolean[]) as n(place, is_in)
     where k.export_id = $1 and k.run_attempt = $2 and k.resource = $3 and k.place = n.place`,
    [id, runAttempt, resource, chunk, keys.map(({ place }) => place), keys.map(({ isIn }) => isIn)],
  );
  if (rowCount !== keys.length) throw new Error(`the keys of chunk ${chunk} of ${resource} are gone`);
}

/** The affected keys of a chunk, in any order. */
export async function readChunkImages(
  db: Queryable,
  chunk: {
    readonly exportId: string;
    readonly runAttempt: number;
    readonly resource: string;
    readonly chunk: number;
  },
): Promise<ChunkImage[]> {
  const { rows } = await db.query<{ record_key: string; image: string | null }>(
    `select record_key, case when is_in then image end as image from export_keys
     where export_id = $1 and run_attempt = $2 and resource = $3 and chunk = $4`,
    [chunk.exportId, chunk.runAttempt, chunk.resource, chunk.chunk],
  );
  return rows.map(({ record_key: recordKey, image }) => ({
    recordKey,
    image: image === null ? null : JSON.parse(image),
  }));
}
