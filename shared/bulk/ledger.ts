import pg from 'pg';
import type { ItemResult, ItemStatus } from '../domain/bulk.ts';
import type { Queryable } from '../postgres/queryable.ts';

/**
 * The ledger is the truth of what bulk operations did: a row for each item, written in the same transaction as the
 * item's change, in the source. Whoever comes to an item that has a row leaves it alone.
 */
export const LEDGER = 'tandem.bulk_ledger';

/** What makes the ledger, in order; each may be run again. */
export const LEDGER_DDL: readonly string[] = [
  'CREATE SCHEMA IF NOT EXISTS tandem',
  `CREATE TABLE IF NOT EXISTS ${LEDGER} (job_id text COLLATE "C" NOT NULL, seq integer NOT NULL, item_id text NOT NULL, ` +
    'status text NOT NULL, code text, message text, line integer, at timestamptz NOT NULL DEFAULT clock_timestamp(), ' +
    'PRIMARY KEY (job_id, seq))',
  'CREATE INDEX IF NOT EXISTS bulk_ledger_not_succeeded ON ' +
    `${LEDGER} (job_id, status, seq) WHERE status <> 'succeeded'`,
];

export async function isLedgerReady(db: Queryable): Promise<boolean> {
  const { rows } = await db.query<{ is_there: string }>(
    `select (to_regclass('${LEDGER}') is not null and to_regclass('tandem.bulk_ledger_not_succeeded') is not null)::int::text
       as is_there`,
  );
  return rows[0]?.is_there === '1';
}

/** Counts of a stretch of items. */
export interface LedgerCounts {
  readonly succeeded: number;
  readonly failed: number;
  readonly skipped: number;
  /** Failed items by code. */
  readonly errorCounts: Readonly<Record<string, number>>;
  /** The last failed ones, newest first. */
  readonly recentErrors: readonly RecentError[];
}

export interface RecentError {
  readonly seq: number;
  readonly item_id: string;
  readonly code: string;
  readonly message: string;
  readonly at: string;
}

export const MAX_RECENT_ERRORS = 10;

const COUNTS = `
select status, coalesce(code, '') as code, count(*)::text as count from ${LEDGER}
where job_id = $1 and seq >= $2 and seq < $3 group by 1, 2`;

const RECENT = `
select seq::text, item_id, code, message, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at
from ${LEDGER} l
where job_id = $1 and status = 'failed' and seq >= $2 and seq < $3 order by l.seq desc limit ${MAX_RECENT_ERRORS}`;

export async function countResults(
  db: Queryable,
  jobId: string,
  firstSeq: number,
  endSeq: number,
): Promise<LedgerCounts> {
  const values = [jobId, firstSeq, endSeq];
  const { rows } = await db.query<{ status: ItemStatus; code: string; count: string }>({
    name: 'bulk_ledger_counts',
    text: COUNTS,
    values,
  });
  const sum = (status: ItemStatus) =>
    rows.filter((row) => row.status === status).reduce((total, { count }) => total + Number(count), 0);
  const failed = rows.filter(({ status }) => status === 'failed');
  const recent = failed.length === 0 ? [] : (await db.query<RecentRow>(RECENT, values)).rows;
  return {
    succeeded: sum('succeeded'),
    failed: sum('failed'),
    skipped: sum('skipped'),
    errorCounts: Object.fromEntries(failed.map(({ code, count }) => [code, Number(count)])),
    recentErrors: recent.map(({ seq, item_id, code, message, at }) => ({
      seq: Number(seq),
      item_id,
      code: code ?? 'failed',
      message: message ?? '',
      at,
    })),
  };
}

interface RecentRow {
  seq: string;
  item_id: string;
  code: string | null;
  message: string | null;
  at: string;
}

/** Which items of a stretch are done. */
export async function doneItems(
  db: Queryable,
  jobId: string,
  firstSeq: number,
  endSeq: number,
): Promise<Set<number>> {
  const { rows } = await db.query<{ seq: string }>(
    `select seq::text from ${LEDGER} where job_id = $1 and seq >= $2 and seq < $3`,
    [jobId, firstSeq, endSeq],
  );
  return new Set(rows.map(({ seq }) => Number(seq)));
}

interface ResultRow {
  seq: string;
  item_id: string;
  status: ItemStatus;
  code: string | null;
  message: string | null;
  line: string | null;
  at: string;
}

/** A page of results in the order of the job. The seek is by key, so that a late page costs what the first does. */
export async function readResults(
  db: Queryable,
  jobId: string,
  {
    status,
    afterSeq,
    beforeSeq,
    limit,
  }: { status: ItemStatus | undefined; afterSeq: number; beforeSeq?: number | undefined; limit: number },
): Promise<ItemResult[]> {
  // A status of its own text, so that the partial index is seen to serve the two that it holds.
  const only = status === undefined ? '' : ` and status = '${status}'`;
  const before = beforeSeq === undefined ? '' : ' and seq < $4';
  const { rows } = await db.query<ResultRow>(
    `select seq::text, item_id, status, code, message, line::text,
       to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at
     from ${LEDGER} l where job_id = $1 and seq > $2${before}${only} order by l.seq limit $3`,
    [jobId, afterSeq, limit, ...(beforeSeq === undefined ? [] : [beforeSeq])],
  );
  return rows.map((row) => ({
    seq: Number(row.seq),
    itemId: row.item_id,
    status: row.status,
    code: row.code,
    message: row.message,
    line: row.line === null ? null : Number(row.line),
    at: row.at,
  }));
}

/** A result that is written without a change of a row. */
export interface RecordedResult {
  readonly seq: number;
  readonly itemId: string;
  readonly status: ItemStatus;
  readonly code: string | null;
  readonly message: string | null;
  readonly line: number | null;
}

/** A text has a character that the source's encoding does not have. */
const NO_SUCH_CHARACTER = '22P05';

/** Items that have a row keep it. */
export async function recordResults(
  db: Queryable,
  jobId: string,
  results: readonly RecordedResult[],
): Promise<void> {
  if (results.length === 0) return;
  try {
    await insertResults(db, jobId, results, (text) => text);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== NO_SUCH_CHARACTER) throw error;
    // An ID that no row of this database can have is told all the same, or its job would never end.
    await insertResults(db, jobId, results, toAscii);
  }
}

/** As JSON escapes characters. */
function toAscii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

async function insertResults(
  db: Queryable,
  jobId: string,
  results: readonly RecordedResult[],
  spell: (text: string) => string,
): Promise<void> {
  await db.query(
    `insert into ${LEDGER} (job_id, seq, item_id, status, code, message, line)
     select $1, t.* from unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[]) as t
     on conflict do nothing`,
    [
      jobId,
      results.map(({ seq }) => seq),
      results.map(({ itemId }) => spell(itemId)),
      results.map(({ status }) => status),
      results.map(({ code }) => code),
      results.map(({ message }) => (message === null ? null : spell(message))),
      results.map(({ line }) => line),
    ],
  );
}

/** A synchronous request's rows are kept under a name of this kind, until its answer is. */
export const SYNC_PREFIX = 'sync_';

/** What follows every name with that prefix, in the column's bytewise order. */
const AFTER_SYNC = 'sync`';

/** Removes rows of synchronous requests whose answer was never kept and whose client has not come again within a day. */
export async function sweepSyncRows(db: Queryable, limit: number): Promise<void> {
  await db.query(
    `delete from ${LEDGER} where ctid in (
       select ctid from ${LEDGER} where job_id >= $1 and job_id < $2 and at < now() - interval '1 day' limit $3)`,
    [SYNC_PREFIX, AFTER_SYNC, limit],
  );
}

/** Removes up to `limit` rows of a job. @returns how many there were */
export async function sweepLedger(db: Queryable, jobId: string, limit: number): Promise<number> {
  const { rowCount } = await db.query(
    `delete from ${LEDGER} where job_id = $1 and seq in (select seq from ${LEDGER} where job_id = $1 order by seq limit $2)`,
    [jobId, limit],
  );
  return rowCount ?? 0;
}
