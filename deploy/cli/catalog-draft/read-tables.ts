import { describeTables, type TableDescription } from '../../../shared/catalog/describe-table.ts';
import type { TableName } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { readTypes } from './several-parents.ts';

/** Columns of one table that name a row of another. */
export interface ForeignKey {
  readonly from: TableName;
  readonly columns: readonly string[];
  readonly to: TableName;
  readonly toColumns: readonly string[];
}

export interface DatabaseTables {
  readonly tables: readonly TableDescription[];
  readonly foreignKeys: readonly ForeignKey[];
  /** The types of the rows of tables that refer to several kinds of parents, by `idOf`. */
  readonly types: ReadonlyMap<string, readonly string[]>;
}

/** A draft of more tables than that is read by nobody. */
const MAX_TABLES = 2_000;

/**
 * Tables of users: not those of the system, of extensions, or of Tandem itself; a partitioned table is one table.
 * `$1` is a JSON list of schemas, or null for all.
 */
const USER_TABLES = `
SELECT c.oid, n.nspname, c.relname
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'tandem')
  AND ($1::jsonb IS NULL OR $1::jsonb ? n.nspname)
  AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
  )`;

const LIST_TABLES = `
WITH user_table AS (${USER_TABLES})
SELECT json_build_object(
  'tables', (
    SELECT coalesce(json_agg(json_build_object('schema', nspname, 'name', relname) ORDER BY nspname, relname), '[]')
    FROM user_table
  ),
  'foreignKeys', (
    SELECT coalesce(json_agg(json_build_object(
      'from', json_build_object('schema', f.nspname, 'name', f.relname),
      'columns', (
        SELECT json_agg(a.attname ORDER BY k.place) FROM unnest(fk.conkey) WITH ORDINALITY AS k(attnum, place)
        JOIN pg_attribute a ON a.attrelid = fk.conrelid AND a.attnum = k.attnum
      ),
      'to', json_build_object('schema', t.nspname, 'name', t.relname),
      'toColumns', (
        SELECT json_agg(a.attname ORDER BY k.place) FROM unnest(fk.confkey) WITH ORDINALITY AS k(attnum, place)
        JOIN pg_attribute a ON a.attrelid = fk.confrelid AND a.attnum = k.attnum
      )
    ) ORDER BY f.nspname, f.relname, fk.conname), '[]')
    FROM pg_constraint fk
    JOIN user_table f ON f.oid = fk.conrelid
    JOIN user_table t ON t.oid = fk.confrelid
    WHERE fk.contype = 'f' AND fk.conparentid = 0
  )
)::text AS facts`;

/**
 * What the database has, sorted by name. Reads the catalog of the server, and the types in some rows of tables with a type column.
 *
 * @param schemas undefined for all
 * @throws SetupError when there are too many tables to make sense of at once
 */
export async function readTables(
  db: Queryable,
  schemas: readonly string[] | undefined,
): Promise<DatabaseTables> {
  const { rows } = await db.query<{ facts: string }>(LIST_TABLES, [
    schemas === undefined ? null : JSON.stringify(schemas),
  ]);
  const { tables, foreignKeys } = JSON.parse(rows[0]?.facts ?? '{"tables":[],"foreignKeys":[]}') as {
    tables: TableName[];
    foreignKeys: ForeignKey[];
  };
  if (tables.length > MAX_TABLES) {
    throw new SetupError(
      `the database has ${tables.length} tables, and a draft takes ${MAX_TABLES}: name some schemas with --schema`,
    );
  }
  const described = await describeTables(db, tables);
  const place = new Map(tables.map(({ schema, name }, index) => [JSON.stringify([schema, name]), index]));
  const placeOf = ({ schema, name }: TableName) => place.get(JSON.stringify([schema, name])) ?? 0;
  const sorted = described.toSorted((a, b) => placeOf(a) - placeOf(b));
  return { tables: sorted, foreignKeys, types: await readTypes(db, sorted) };
}
