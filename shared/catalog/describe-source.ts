import type { Queryable } from '../postgres/queryable.ts';

/** Facts of the source's server that do not depend on the catalog. */
export interface ServerDescription {
  /** 150004 for 15.4. */
  readonly versionNumber: number;
  readonly walLevel: string;
  readonly isInRecovery: boolean;
  readonly role: string;
  readonly database: string;
}

export interface PublicationDescription {
  readonly isForAllTables: boolean;
  /** The published operations: `insert`, `update`, `delete`, `truncate`. */
  readonly operations: readonly string[];
  readonly isViaRoot: boolean;
  /** From PostgreSQL 18: publishes generated columns, which files lack. */
  readonly publishesGenerated: boolean;
  /** Schemas published as a whole, with future tables. */
  readonly schemas: readonly string[];
  readonly tables: readonly PublishedTable[];
}

export interface PublishedTable {
  readonly schema: string;
  readonly name: string;
  /** Has a row filter or a column list, which hide changes or parts of them. */
  readonly isPartial: boolean;
}

export interface SlotDescription {
  readonly plugin: string;
  readonly database: string | null;
  readonly isTemporary: boolean;
  readonly walStatus: string | null;
}

const DESCRIBE_SERVER = `
SELECT json_build_object(
  'versionNumber', current_setting('server_version_num')::int,
  'walLevel', current_setting('wal_level'),
  'isInRecovery', pg_is_in_recovery(),
  'role', current_user,
  'database', current_database()
)::text AS facts`;

const DESCRIBE_PUBLICATION = `
SELECT json_build_object(
  'isForAllTables', p.puballtables,
  'operations', array_remove(ARRAY[
    CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
    CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END], NULL),
  'isViaRoot', p.pubviaroot,
  'publishesGenerated', coalesce(to_jsonb(p)->>'pubgencols', 'n') <> 'n',
  'schemas', (
    SELECT coalesce(json_agg(n.nspname ORDER BY n.nspname), '[]')
    FROM pg_publication_namespace pn JOIN pg_namespace n ON n.oid = pn.pnnspid
    WHERE pn.pnpubid = p.oid
  ),
  'tables', (
    SELECT coalesce(json_agg(json_build_object(
      'schema', n.nspname,
      'name', c.relname,
      'isPartial', pr.prqual IS NOT NULL OR pr.prattrs IS NOT NULL
    ) ORDER BY n.nspname, c.relname), '[]')
    FROM pg_publication_rel pr
    JOIN pg_class c ON c.oid = pr.prrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE pr.prpubid = p.oid
  )
)::text AS facts
FROM pg_publication p
WHERE p.pubname = $1`;

const DESCRIBE_SLOT = `
SELECT json_build_object(
  'plugin', plugin, 'database', database, 'isTemporary', temporary, 'walStatus', wal_status
)::text AS facts
FROM pg_replication_slots
WHERE slot_name = $1`;

export async function describeServer(db: Queryable): Promise<ServerDescription> {
  const server = await readFacts<ServerDescription>(db, DESCRIBE_SERVER, []);
  if (server === undefined) throw new Error('the description of the server came back without a row');
  return server;
}

export async function describePublication(
  db: Queryable,
  name: string,
): Promise<PublicationDescription | undefined> {
  return readFacts(db, DESCRIBE_PUBLICATION, [name]);
}

export async function describeSlot(db: Queryable, name: string): Promise<SlotDescription | undefined> {
  return readFacts(db, DESCRIBE_SLOT, [name]);
}

/** One JSON text, for the reason given in `describe-table.ts`. */
async function readFacts<T>(db: Queryable, sql: string, values: string[]): Promise<T | undefined> {
  const { rows } = await db.query<{ facts: string }>(sql, values);
  return rows[0] === undefined ? undefined : (JSON.parse(rows[0].facts) as T);
}
