import pg from 'pg';
import type { ItemResult, ItemStatus } from '../domain/bulk.ts';
import type { Queryable } from '../postgres/queryable.ts';

/**
 * The ledger states what bulk jobs did: a row for each item, written in the source in the same transaction as the item's
 * change. A worker skips an item that has a row.
 */
export const LEDGER = 'tandem.bulk_ledger';

/** Statements that create the ledger, in order; each may be repeated. */
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

/** Counts of a range of items. */
export interface LedgerCounts {
  readonly succeeded: number;
  readonly failed: number;
  readonly skipped: number;
  /** Failed items by code. */
  readonly errorCounts: Readonly<Record<string, number>>;
  /** The last failed items, newest first. */
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

/** The items of a range that have a result. */
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

/** A page of results in the job's order. Keyset pagination, so that a late page costs no more than the first. */
export async function readResults(
  db: Queryable,
  jobId: string,
  {
    status,
    code,
    afterSeq,
    beforeSeq,
    limit,
  }: {
    status: ItemStatus | undefined;
    code?: string | undefined;
    afterSeq: number;
    beforeSeq?: number | undefined;
    limit: number;
  },
): Promise<ItemResult[]> {
  // The status as a literal, so that the planner can use the partial index.
  const only = status === undefined ? '' : ` and status = '${status}'`;
  const before = beforeSeq === undefined ? '' : ' and seq < $4';
  const coded = code === undefined ? '' : ` and code = $${beforeSeq === undefined ? 4 : 5}`;
  const { rows } = await db.query<ResultRow>(
    `select seq::text, item_id, status, code, message, line::text,
       to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at
     from ${LEDGER} l where job_id = $1 and seq > $2${before}${only}${coded} order by l.seq limit $3`,
    [
      jobId,
      afterSeq,
      limit,
      ...(beforeSeq === undefined ? [] : [beforeSeq]),
      ...(code === undefined ? [] : [code]),
    ],
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

/** The number of the result that `skip` results of the status are before. Undefined: there are fewer. */
export async function findResultAt(
  db: Queryable,
  jobId: string,
  { status, afterSeq, skip }: { status: ItemStatus; afterSeq: number; skip: number },
): Promise<number | undefined> {
  const { rows } = await db.query<{ seq: string }>(
    `select seq::text from ${LEDGER} l where job_id = $1 and seq > $2 and status = '${status}'
     order by l.seq offset $3 limit 1`,
    [jobId, afterSeq, skip],
  );
  return rows[0] && Number(rows[0].seq);
}

/** A result that is recorded without a change of a row. */
export interface RecordedResult {
  readonly seq: number;
  readonly itemId: string;
  readonly status: ItemStatus;
  readonly code: string | null;
  readonly message: string | null;
  readonly line: number | null;
}

/** The source's encoding lacks a character of the text. */
const NO_SUCH_CHARACTER = '22P05';

/** Records results. An item that has a ledger row keeps it. */
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
    // An ID that no row of this database can have is recorded all the same, or its job would never end.
    await insertResults(db, jobId, results, toAscii);
  }
}

/** Escapes characters as JSON does. */
function toAscii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

async function insertResults(
  db: Queryable,
  jobId: string,
  results: readonly RecordedResult[],
  spell: (text: string) => string,
): Promise<void> {
  await db.query({
    name: 'bulk_record_results',
    text: `insert into ${LEDGER} (job_id, seq, item_id, status, code, message, line)
     select $1, t.* from unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[]) as t
     on conflict do nothing`,
    values: [
      jobId,
      results.map(({ seq }) => seq),
      results.map(({ itemId }) => spell(itemId)),
      results.map(({ status }) => status),
      results.map(({ code }) => code),
      results.map(({ message }) => (message === null ? null : spell(message))),
      results.map(({ line }) => line),
    ],
  });
}

/** Prefix of the names under which a synchronous request's rows are kept, until its response is stored. */
export const SYNC_PREFIX = 'sync_';

/** Follows every name with that prefix, in the column's bytewise order. */
const AFTER_SYNC = 'sync`';

/** Removes rows of synchronous requests whose response was never stored and whose client has not retried within a day. */
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
