import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';

/**
 * For each resource what its table is, behind its name: its OID and that of its place in the publication, `0` when it has
 * none. Either changes when rows may have gone or changed without a word in the feed: the table was dropped and made
 * again, or was out of the publication for a while.
 */
export type TableIdentities = ReadonlyMap<string, string>;

/** Transactional; its content is JSON with the identities that are new, by resource. */
export const RESET_PREFIX = 'tandem.reset';

const READ_IDENTITIES = `
select r.resource, c.oid::text || '/' || coalesce(p.oid, 0)::text as identity
from unnest($1::text[], $2::text[], $3::text[]) as r (resource, schema, name)
join pg_namespace n on n.nspname = r.schema
join pg_class c on c.relnamespace = n.oid and c.relname = r.name
left join (
  select pr.oid, pr.prrelid from pg_publication_rel pr
  join pg_publication pub on pub.oid = pr.prpubid where pub.pubname = $4
) p on p.prrelid = c.oid`;

/** A table that does not exist has none. */
export async function readTableIdentities(
  db: Queryable,
  { resources }: Catalog,
  publicationName: string,
): Promise<TableIdentities> {
  const { rows } = await db.query<{ resource: string; identity: string }>(READ_IDENTITIES, [
    resources.map(({ name }) => name),
    resources.map(({ table }) => table.schema),
    resources.map(({ table }) => table.name),
    publicationName,
  ]);
  return new Map(rows.map(({ resource, identity }) => [resource, identity]));
}

export function isPublished(identity: string): boolean {
  return !identity.endsWith('/0');
}

/** Sends the new identities through the WAL, so that the reset has its place in the feed. */
export async function announceIdentities(db: Queryable, identities: TableIdentities): Promise<void> {
  const content = JSON.stringify({ tables: Object.fromEntries(identities) });
  await db.query('select pg_logical_emit_message(true, $1, $2)', [RESET_PREFIX, content]);
}

/** Anyone who may write to the database may send such a message, so what is not one is read as naming no table. */
export function readIdentities(content: string): TableIdentities {
  try {
    const { tables } = JSON.parse(content) as { tables?: unknown };
    if (typeof tables !== 'object' || tables === null) return new Map();
    return new Map(
      Object.entries(tables).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    );
  } catch {
    return new Map();
  }
}
