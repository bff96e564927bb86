import { createHash } from 'node:crypto';
import { describeTables, findTable, visibleColumns } from '../../../shared/catalog/describe-table.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { quoteTable } from '../../../shared/postgres/quote.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { SourceSession } from '../source-session.ts';

/** What the tables of some resources are like at a moment of the source's clock. */
export interface TablesSeen {
  /** RFC 3339; read after the tables were looked at, so that they are known to be so from then on. */
  readonly seenAt: string;
  /** By resource; a table that is gone has none. */
  readonly fingerprints: ReadonlyMap<string, string>;
}

/** Two tables with one fingerprint have the same columns, and are the same table of the same server. */
export async function lookAtTables(
  session: SourceSession,
  resources: readonly Resource[],
): Promise<TablesSeen> {
  const tables = await describeTables(
    session.client,
    resources.map(({ table }) => table),
  );
  const { rows } = await session.query(
    `select json_object_agg(name, to_regclass(name)::oid)::text as oids,
       to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as seen_at
     from unnest($1::text[]) as name`,
    [resources.map(({ table }) => quoteTable(table))],
  );
  const { oids, seen_at: seenAt } = rows[0] ?? {};
  if (seenAt == null) throw new Error('the source gave no time');
  const oidByName = JSON.parse(oids ?? '{}') as Record<string, number | null>;
  const fingerprints = resources.flatMap((resource): [string, string][] => {
    const table = findTable(tables, resource.table);
    if (table === undefined) return [];
    const columns = visibleColumns(table, resource).map(({ name, typeName }) => [name, typeName]);
    // Events of before another filter tell of other rows.
    const filter = resource.where === undefined ? [] : [resource.where];
    const facts = [session.identity, oidByName[quoteTable(resource.table)], resource.key, columns, ...filter];
    return [[resource.name, createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 32)]];
  });
  return { seenAt, fingerprints: new Map(fingerprints) };
}

/** A row for each change of a table. Of two that look at once both may note it, which does no harm. */
const NOTE_TABLES = `
insert into table_history (resource, fingerprint, seen_from)
select n.resource, n.fingerprint, $3::timestamptz
from unnest($1::text[], $2::text[]) as n(resource, fingerprint)
where n.fingerprint is distinct from (
  select h.fingerprint from table_history h where h.resource = n.resource order by h.seen_from desc limit 1)
on conflict do nothing`;

export async function noteTables(db: Queryable, { seenAt, fingerprints }: TablesSeen): Promise<void> {
  await db.query({
    name: 'note_tables',
    text: NOTE_TABLES,
    values: [[...fingerprints.keys()], [...fingerprints.values()], seenAt],
  });
}

/** Tables that have been what they are now since later than the moment. */
const FIND_CHANGED = `
select n.resource, min(h.seen_from)::text as seen_from
from unnest($1::text[], $2::text[]) as n(resource, fingerprint)
join table_history h on h.resource = n.resource and h.fingerprint = n.fingerprint
  and h.seen_from > coalesce((
    select max(o.seen_from) from table_history o
    where o.resource = n.resource and o.fingerprint <> n.fingerprint), '-infinity')
group by n.resource
having min(h.seen_from) > $3::timestamptz
limit 1`;

/**
 * An ALTER TABLE changes rows without an event for any of them, so rows of the past can be told only while the table is still
 * what it was.
 *
 * @throws ExportFailedError when a table is not known to have been the same since `moment`
 */
export async function assertUnchangedSince(db: Queryable, seen: TablesSeen, moment: string): Promise<void> {
  await noteTables(db, seen);
  const { fingerprints } = seen;
  const { rows } = await db.query<{ resource: string; seen_from: string }>(FIND_CHANGED, [
    [...fingerprints.keys()],
    [...fingerprints.values()],
    moment,
  ]);
  const found = rows[0];
  if (found === undefined) return;
  throw new ExportFailedError(
    'table_changed',
    `The table of ${found.resource} is known to be what it is now only since ${found.seen_from}: ` +
      'ask for a moment after that.',
  );
}
