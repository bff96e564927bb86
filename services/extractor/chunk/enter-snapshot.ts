import type { ReadSince } from '../../../shared/control/exports/chunked-reading.ts';
import type { TableName } from '../../../shared/domain/catalog.ts';
import { quoteLiteral, quoteTable } from '../../../shared/postgres/quote.ts';
import { beginWithLocksSql } from '../export/take-snapshot.ts';
import {
  ExportFailedError,
  SnapshotGoneError,
  SourceAwayError,
  TableWantedError,
} from '../extraction-errors.ts';
import { isSqlState, LOCK_NOT_AVAILABLE, type SourceSession } from '../source/source-session.ts';

/**
 * Begins a transaction with a new snapshot that sees everything the export's first snapshot saw. It locks the tables
 * first, so that none is rewritten under the snapshot.
 *
 * @throws TableWantedError when another session waits for a table
 * @throws SourceAwayError on another server, so that the holder starts again there
 */
export async function beginSnapshot(
  session: SourceSession,
  tables: readonly TableName[],
  since: ReadSince | undefined,
): Promise<void> {
  const { systemId, timeline } = session.identity;
  if (since?.systemId !== systemId || since.timeline !== timeline) {
    throw new SourceAwayError('chunk', {
      cause: new Error('the source is another server than when the reading began'),
    });
  }
  await beginWithLocks(session, tables);
}

async function beginWithLocks(session: SourceSession, tables: readonly TableName[]): Promise<void> {
  try {
    await session.query(beginWithLocksSql(tables));
  } catch (cause) {
    if (isSqlState(cause, LOCK_NOT_AVAILABLE)) throw new TableWantedError('chunk', { cause });
    throw cause;
  }
}

const INVALID_SNAPSHOT_CODES = ['22023', '42704', '55000'] as const;

/**
 * Imports the export's snapshot into a session. It locks the tables first. Until then the holder's lock, which exists
 * as long as the snapshot can be imported, prevents that anyone truncates or rewrites them.
 *
 * @throws TableWantedError when another session waits for a table
 * @throws SnapshotGoneError when the holder has released the snapshot
 * @throws ExportFailedError when the session does not see exactly the export's snapshot
 */
export async function enterSnapshot(
  session: SourceSession,
  tables: readonly TableName[],
  { name, snapshot }: { readonly name: string; readonly snapshot: string },
): Promise<void> {
  await beginWithLocks(session, tables);
  try {
    await session.query(`set transaction snapshot ${quoteLiteral(name)}`);
  } catch (cause) {
    if (isSqlState(cause, ...INVALID_SNAPSHOT_CODES)) throw new SnapshotGoneError(name, { cause });
    throw cause;
  }
  const { rows } = await session.query('select pg_current_snapshot()::text as snapshot');
  if (rows[0]?.snapshot === snapshot) return;
  throw new ExportFailedError(
    'snapshot_mismatch',
    `A reader got the snapshot ${rows[0]?.snapshot} instead of ${snapshot}. Nothing was published.`,
  );
}

/**
 * Compares the catalogs under the snapshot with `pg_relation_filenode`, which shows the present. If they differ for a
 * table or a partition, its rows have moved to new files, and a read misses the old ones.
 *
 * @throws ExportFailedError
 */
export async function assertNotRewritten(
  session: SourceSession,
  tables: readonly TableName[],
): Promise<void> {
  const { rows } = await session.query(
    `select c.relname from pg_class c
     where c.relkind = 'r' and c.relfilenode is distinct from pg_relation_filenode(c.oid)
       and c.oid in (
         select w.oid from unnest($1::regclass[]) as w(oid)
         union select p.relid from unnest($1::regclass[]) as w(oid), pg_partition_tree(w.oid) p)
     limit 1`,
    [tables.map(quoteTable)],
    'find_rewritten',
  );
  const name = rows[0]?.relname;
  if (name === undefined) return;
  throw new ExportFailedError(
    'table_changed',
    `The table ${name} was truncated or rewritten during the export: start the export again.`,
  );
}
