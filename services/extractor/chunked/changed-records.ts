import type { Pool, PoolClient } from 'pg';
import QueryStream from 'pg-query-stream';
import { announceKeys } from '../../../shared/control/exports/changed-keys.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { EVENT_COLUMNS, type KeyEvent, type KeyEventRow, toKeyEvent } from '../as-of/affected-keys.ts';
import { SingleSnapshotNeededError } from '../extraction-errors.ts';
import { isSqlState, QUERY_CANCELED } from '../source/source-session.ts';

/** Sorting the events of a busy account takes longer than any other statement in the control store. */
const LONG_TIMEOUT = '10min';

/** The first snapshot sees nothing that was written after its position. */
const NOT_AT_BEGINNING = `v.commit_lsn > (e.read_since->>'start_lsn')::pg_lsn
    and not (v.commit_lsn < (e.read_since->>'lsn')::pg_lsn
      and pg_visible_in_snapshot(v.xid::text::xid8, (e.read_since->>'snapshot')::pg_snapshot))`;

/**
 * Events of the run's account that the last snapshot sees and the first one does not. The seal of the last snapshot has
 * arrived, so all of them are recorded, and none comes after it.
 */
const SINCE_READING = `
  from exports e join events v on v.account_id = e.account_id
  where e.id = $1 and e.run_attempt = $2 and v.commit_lsn <= e.sealed_lsn and ${NOT_AT_BEGINNING}
    and pg_visible_in_snapshot(v.xid::text::xid8, $3::pg_snapshot)`;

/** A loss is announced where it is noticed. That can be after the seal although the lost changes were before it. */
const FIND_RESET = `
select v.resource, v.committed_at::text ${SINCE_READING} and v.type = 'feed.reset' and v.resource = any($4)
union all
select v.resource, v.committed_at::text from exports e join events v on v.account_id = e.account_id
where e.id = $1 and v.commit_lsn > (e.read_since->>'start_lsn')::pg_lsn and v.xid = 0 and v.type = 'feed.reset'
  and v.resource = any($4)
limit 1`;

/** @returns the resource and the time of a reset since the read started; the resource's events are incomplete then */
export async function findResetSince(
  db: Queryable,
  { id, runAttempt, resources }: ClaimedExport,
  snapshot: string,
): Promise<{ resource: string; at: string } | undefined> {
  const { rows } = await db.query<{ resource: string; committed_at: string }>(FIND_RESET, [
    id,
    runAttempt,
    snapshot,
    resources,
  ]);
  return rows[0] && { resource: rows[0].resource, at: rows[0].committed_at };
}

/**
 * Whole days of events are dropped after their retention, which is at least a day. An hour is more than clocks differ.
 */
const ARE_KEPT = `
select to_regclass('events_' || to_char((taken_at - interval '1 hour') at time zone 'UTC', 'YYYYMMDD')) is not null
    or taken_at > now() - interval '1 day' as are_kept
from (select (read_since->>'taken_at')::timestamptz as taken_at from exports where id = $1) r`;

/** Whether all events since the read started still exist. Then everything read from them until now was complete. */
export async function areEventsKept(db: Queryable, { id }: ClaimedExport): Promise<boolean> {
  const { rows } = await db.query<{ are_kept: boolean }>(ARE_KEPT, [id]);
  return rows[0]?.are_kept === true;
}

/**
 * The last event of each record decides. Versions of a row have one order: of two transactions that write a row, the
 * second commits after the first is visible. So a snapshot sees a prefix of each record's events.
 */
const COLLECT = `
insert into export_keys (export_id, run_attempt, resource, place, record_key, event_lsn, event_idx, event_at, is_known)
select $1, $2, $4, row_number() over (order by k.record_key) - 1, k.record_key, k.commit_lsn, k.idx, k.committed_at, false
from (
  select distinct on (v.record_key) v.record_key, v.commit_lsn, v.idx, v.committed_at
  ${SINCE_READING} and v.resource = $4 and v.type <> 'feed.reset'
  order by v.record_key, v.commit_lsn desc, v.idx desc
) k`;

/** @throws SingleSnapshotNeededError when a statement takes too long, as it would when repeated */
async function inLongTransaction<T>(
  pool: Pool,
  resource: string,
  work: (db: PoolClient) => Promise<T>,
): Promise<T> {
  try {
    return await inTransaction(pool, async (db) => {
      await db.query(`set local statement_timeout = '${LONG_TIMEOUT}'`);
      return work(db);
    });
  } catch (cause) {
    if (!isSqlState(cause, QUERY_CANCELED)) throw cause;
    throw new SingleSnapshotNeededError(`Too many records of ${resource} changed while its rows were read.`, {
      cause,
    });
  }
}

/**
 * Collects the records of one resource that changed, with their last event.
 *
 * @returns their number
 * @throws SingleSnapshotNeededError when there are too many
 */
export async function collectChanged(
  pool: Pool,
  { id, runAttempt }: ClaimedExport,
  snapshot: string,
  resource: string,
): Promise<number> {
  await announceKeys(pool, id);
  return inLongTransaction(pool, resource, async (db) => {
    const { rowCount } = await db.query(COLLECT, [id, runAttempt, snapshot, resource]);
    return rowCount ?? 0;
  });
}

const READ_EARLIER = `
select ${EVENT_COLUMNS}
from exports e
join export_keys k on k.export_id = e.id and k.run_attempt = e.run_attempt and not k.is_known
join events v on v.account_id = e.account_id and v.resource = k.resource and v.record_key = k.record_key
  and v.type <> 'feed.reset' and ${NOT_AT_BEGINNING}
  and (v.commit_lsn, v.idx) <= (k.event_lsn, k.event_idx)
where e.id = $1 and e.run_attempt = $2 and k.resource = $3
order by k.place, v.commit_lsn, v.idx`;

/** Events in memory at once. Each holds a whole record. */
const EVENTS_AT_ONCE = 200;

/** Reads all events since the read started of the records whose last event is not enough: by place, then by commit. */
export async function readEarlierEvents(
  pool: Pool,
  { id, runAttempt }: ClaimedExport,
  resource: string,
  onEvent: (event: KeyEvent) => Promise<void>,
): Promise<void> {
  await inLongTransaction(pool, resource, async (db) => {
    const rows: AsyncIterable<KeyEventRow> = db.query(
      new QueryStream(READ_EARLIER, [id, runAttempt, resource], { batchSize: EVENTS_AT_ONCE }),
    );
    for await (const row of rows) await onEvent(toKeyEvent(row));
  });
}

/** A record under the snapshot, rebuilt from its events. */
export interface ChangedImage {
  readonly place: number;
  /** Wire texts; false for a value that is in no event. Null: the record does not exist. */
  readonly image: readonly (string | null | false)[] | null;
  /** Whether the export has the record. */
  readonly isIn: boolean;
}

export async function saveChanged(
  db: Queryable,
  { id, runAttempt }: ClaimedExport,
  resource: string,
  images: readonly ChangedImage[],
): Promise<void> {
  if (images.length === 0) return;
  await db.query({
    name: 'save_changed_images',
    text: `update export_keys k set image = n.image, is_in = n.is_in, is_known = n.is_known
     from unnest($4::bigint[], $5::text[], $6::boolean[], $7::boolean[]) as n(place, image, is_in, is_known)
     where k.export_id = $1 and k.run_attempt = $2 and k.resource = $3 and k.place = n.place`,
    values: [
      id,
      runAttempt,
      resource,
      images.map(({ place }) => place),
      images.map(({ image }) => image && JSON.stringify(image)),
      images.map(({ isIn }) => isIn),
      images.map(({ image }) => image === null || !image.includes(false)),
    ],
  });
}

export async function assignChunks(
  db: Queryable,
  { id, runAttempt }: ClaimedExport,
  resource: string,
  assigned: readonly { readonly place: number; readonly chunk: number }[],
): Promise<void> {
  const { rowCount } = await db.query(
    `update export_keys k set chunk = n.chunk from unnest($4::bigint[], $5::int[]) as n(place, chunk)
     where k.export_id = $1 and k.run_attempt = $2 and k.resource = $3 and k.place = n.place`,
    [id, runAttempt, resource, assigned.map(({ place }) => place), assigned.map(({ chunk }) => chunk)],
  );
  if (rowCount !== assigned.length) throw new Error(`changed keys of ${resource} are gone`);
}

/** Reads which chunks have changed records, in order, with the number of records. */
export async function countChangedByChunk(
  db: Queryable,
  { id, runAttempt }: ClaimedExport,
  resource: string,
): Promise<{ chunk: number; count: number }[]> {
  const { rows } = await db.query<{ chunk: number; count: string }>(
    `select chunk, count(*) from export_keys
     where export_id = $1 and run_attempt = $2 and resource = $3 group by chunk order by chunk`,
    [id, runAttempt, resource],
  );
  return rows.map(({ chunk, count }) => ({ chunk, count: Number(count) }));
}

/** A changed record of a chunk. */
export interface ChangedRecord {
  readonly place: number;
  readonly recordKey: string;
  readonly isIn: boolean;
  /** Every value is known from events. */
  readonly isWhole: boolean;
}

export async function readChangedOfChunk(
  db: Queryable,
  { id, runAttempt }: ClaimedExport,
  resource: string,
  chunk: number,
): Promise<ChangedRecord[]> {
  const { rows } = await db.query<{ place: string; record_key: string; is_in: boolean; is_known: boolean }>(
    `select place::text, record_key, is_in, is_known from export_keys
     where export_id = $1 and run_attempt = $2 and resource = $3 and chunk = $4`,
    [id, runAttempt, resource, chunk],
  );
  return rows.map(({ place, record_key: recordKey, is_in: isIn, is_known: isWhole }) => ({
    place: Number(place),
    recordKey,
    isIn,
    isWhole,
  }));
}
