import type { TableName } from '../../../shared/domain/catalog.ts';
import { quoteLiteral, quoteTable } from '../../../shared/postgres/quote.ts';
import { ExportFailedError, SnapshotGoneError, TableWantedError } from '../extraction-errors.ts';
import { isSqlState, LOCK_NOT_AVAILABLE, type SourceSession } from '../source/source-session.ts';

const INVALID_SNAPSHOT_CODES = ['22023', '42704', '55000'] as const;

/**
 * Puts a session under the export's snapshot. The tables are locked before: from then on, and before it by the holder's lock,
 * which still stands if the snapshot can be taken over at all, nobody can truncate or rewrite them.
 *
 * @throws TableWantedError when somebody waits for a table, who comes before us
 * @throws SnapshotGoneError when the holder has let go
 * @throws ExportFailedError when the session does not see exactly the export's snapshot
 */
export async function enterSnapshot(
  session: SourceSession,
  tables: readonly TableName[],
  { snapshotName, snapshot }: { snapshotName: string; snapshot: string },
): Promise<void> {
  await session.query('begin isolation level repeatable read, read only');
  try {
    await session.query(`lock table ${tables.map(quoteTable).join(', ')} in access share mode`);
  } catch (cause) {
    if (isSqlState(cause, LOCK_NOT_AVAILABLE)) throw new TableWantedError('chunk', { cause });
    throw cause;
  }
  try {
    await session.query(`set transaction snapshot ${quoteLiteral(snapshotName)}`);
  } catch (cause) {
    if (isSqlState(cause, ...INVALID_SNAPSHOT_CODES)) throw new SnapshotGoneError(snapshotName, { cause });
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
 * The catalog tables are read under the snapshot, `pg_relation_filenode` knows the present: when the two differ for a table
 * or a partition, its rows were moved to new files, and a read of it finds none of the old.
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
  );
  const name = rows[0]?.relname;
  if (name === undefined) return;
  throw new ExportFailedError(
    'table_changed',
    `The table ${name} was truncated or rewritten during the export: start the export again.`,
  );
}
