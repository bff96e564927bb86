import type { FileFact, TableFacts } from '../../../shared/catalog/table-facts.ts';
import { insufficientFiles } from '../../../shared/catalog/table-form.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { quoteIdent } from '../../../shared/postgres/quote.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { announcementSql } from './reset-message.ts';

/** The result of a check of one resource's partitions. */
export interface PreparedPartitions {
  /** At least one partition got its replica identity, so the facts have to be read again. */
  readonly isChanged: boolean;
  /** SQL for the operator, which this role may not run. */
  readonly remedies: readonly string[];
}

/** A waiting lock request blocks everyone behind it, so it gives up early and is repeated with the next check. */
const LOCK_TIMEOUT_MS = 500;

/** The index of the partition that belongs to the root's identity index. */
const FIND_INDEX = `
with recursive part as (
  select x.indexrelid as oid from pg_index x where x.indrelid = $1::oid and x.indisreplident
  union all
  select i.inhrelid from part join pg_inherits i on i.inhparent = part.oid
)
select c.relname as name from part join pg_index x on x.indexrelid = part.oid join pg_class c on c.oid = part.oid
where x.indrelid = $2::oid and x.indisvalid limit 1`;

/**
 * Gives new partitions the replica identity of their root, which PostgreSQL does not inherit. Until then their deletes
 * do not identify the row's account, so the transaction that prepares a partition with rows also announces a reset: a
 * crash leaves both or neither. Only leaves are altered: the operator prepares the table itself.
 *
 * @param announced the identity that the feed knows, or that is on its way to it; undefined for a table that it never saw
 */
export async function preparePartitions(
  db: Queryable,
  resource: Resource,
  facts: TableFacts,
  announced: string | undefined,
  log: Log,
): Promise<PreparedPartitions> {
  // An unlogged partition has no changes in the WAL, whatever its identity: exports of the resource are refused.
  const leaves = insufficientFiles(resource, facts).filter(
    ({ kind, persistence, links }) => kind === 'r' && persistence === 'p' && links.length > 0,
  );
  const remedies: string[] = [];
  let isChanged = false;
  for (const leaf of leaves) {
    const alter = await identitySql(db, facts, leaf);
    if (alter === undefined) continue;
    try {
      // One message, and so one transaction.
      await db.query(
        `set local lock_timeout = ${LOCK_TIMEOUT_MS}; ${alter}; ${resetSql(resource.name, announced, leaf)}`,
      );
      isChanged = true;
      log.info('partition.prepared', { resource: resource.name, partition: leaf.name });
    } catch (error) {
      remedies.push(alter);
      log.debug('partition.not_prepared', { resource: resource.name, partition: leaf.name, error });
    }
  }
  return { isChanged, remedies };
}

/** The size is read after the lock is held, so that rows inserted before it count. */
function resetSql(resource: string, announced: string | undefined, { oid }: FileFact): string {
  if (announced === undefined) return '';
  const reset = { resource, identity: announced, former: announced, isLossOnly: false };
  return `${announcementSql({ ...reset, reason: 'record_unknown' })} where pg_relation_size(${oid}) > 0`;
}

/** @returns undefined where the root's identity can't be given to a partition */
async function identitySql(
  db: Queryable,
  { oid, replicaIdentity }: TableFacts,
  leaf: FileFact,
): Promise<string | undefined> {
  const alter = `alter table only ${leaf.name} replica identity`;
  if (replicaIdentity === 'f') return `${alter} full`;
  if (replicaIdentity !== 'i') return undefined;
  const { rows } = await db.query<{ name: string }>(FIND_INDEX, [oid, leaf.oid]);
  const name = rows[0]?.name;
  return name === undefined ? undefined : `${alter} using index ${quoteIdent(name)}`;
}
