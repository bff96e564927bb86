import { leaves, type Resource, type TableName } from '../domain/catalog.ts';
import { columnsOfFields } from '../domain/public-field.ts';
import type { RowType, ValueType } from '../domain/row-type.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { SetupError } from '../runtime/errors.ts';
import { showTable } from './parse-table-name.ts';

/** Facts of a table for the checks of the catalog. Letters are those of PostgreSQL's `pg_class`. */
export interface TableDescription {
  readonly schema: string;
  readonly name: string;
  /** `relkind`: r table, p partitioned table, v view, m materialized view, f foreign table, … */
  readonly kind: string;
  readonly isPartition: boolean;
  /** Other tables inherit from it without partitioning. */
  readonly hasChildren: boolean;
  /** Policies would hide rows from this session. */
  readonly isRowSecurityActive: boolean;
  readonly canSelect: boolean;
  readonly columns: readonly ColumnDescription[];
  readonly uniqueIndexes: readonly UniqueIndex[];
  /** Names of indexes whose build was interrupted. */
  readonly invalidIndexes: readonly string[];
  /** The table itself and every leaf partition: each has rows and a replica identity of its own. */
  readonly relations: readonly Relation[];
}

/** A column that is not dropped, in column order. */
export interface ColumnDescription {
  readonly name: string;
  readonly typeOid: number;
  /** `atttypmod`: the 12 and 2 of `numeric(12,2)`, packed; -1 for none. */
  readonly typeModifier: number;
  readonly typeName: string;
  /** The type under a domain; the type itself when it is not one. */
  readonly baseTypeOid: number;
  readonly isNotNull: boolean;
  readonly isGenerated: boolean;
  /** Why the texts of equal values can differ between a row and an event: see `key-limits.ts`. */
  readonly equality?: 'structure' | 'collation' | null;
}

/** A unique index that always holds for every row: valid, over plain columns, neither partial nor deferrable. */
export interface UniqueIndex {
  readonly columns: readonly string[];
  readonly isPrimary: boolean;
}

/** An index that PostgreSQL accepts as a replica identity: always unique, over plain columns that are never null. */
export interface IdentityIndex {
  readonly name: string;
  /** Without INCLUDE columns, which no identity carries. */
  readonly columns: readonly string[];
}

export interface Relation {
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  /** `relpersistence`: p permanent, u unlogged, t temporary. */
  readonly persistence: string;
  /** `relreplident`: d primary key, i an index, f full, n nothing. */
  readonly replicaIdentity: string;
  /** Columns of a deleted row's old version in the WAL; for `f` all of them. */
  readonly identityColumns: readonly string[];
  readonly identityIndexes: readonly IdentityIndex[];
}

/**
 * One statement for all tables. It waits for no locked table, as functions such as `pg_partition_tree` would. Its only result is
 * a JSON text, so sessions with and without node-pg's parsers read it alike.
 */
const DESCRIBE_TABLES = `
SELECT coalesce(json_agg(json_build_object(
  'schema', n.nspname,
  'name', c.relname,
  'kind', c.relkind::text,
  'isPartition', c.relispartition,
  'hasChildren', c.relkind <> 'p' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid),
  'isRowSecurityActive', c.relkind IN ('r', 'p') AND row_security_active(c.oid),
  'canSelect', has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
  'columns', (
    SELECT coalesce(json_agg(json_build_object(
      'name', a.attname,
      'typeOid', a.atttypid::bigint,
      'typeModifier', a.atttypmod,
      'typeName', format_type(a.atttypid, a.atttypmod),
      'baseTypeOid', base.oid::bigint,
      'equality', CASE
        WHEN base.typcategory = 'A' OR base.typtype = 'c' OR base.typname IN ('json', 'jsonb', 'hstore') THEN 'structure'
        WHEN EXISTS (SELECT FROM pg_collation l WHERE l.oid = a.attcollation AND NOT l.collisdeterministic) THEN 'collation'
      END,
      'isNotNull', a.attnotnull,
      'isGenerated', a.attgenerated <> ''
    ) ORDER BY a.attnum), '[]')
    FROM pg_attribute a
    CROSS JOIN LATERAL (
      WITH RECURSIVE base AS (
        SELECT t.oid, t.typtype, t.typbasetype, t.typcategory, t.typname FROM pg_type t WHERE t.oid = a.atttypid
        UNION ALL
        SELECT t.oid, t.typtype, t.typbasetype, t.typcategory, t.typname
        FROM base JOIN pg_type t ON t.oid = base.typbasetype
      )
      SELECT * FROM base WHERE typtype <> 'd'
    ) base
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  ),
  'uniqueIndexes', (
    SELECT coalesce(json_agg(json_build_object(
      'isPrimary', i.indisprimary,
      'columns', (
        SELECT json_agg(a.attname ORDER BY k.place)
        FROM unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
        WHERE k.place <= i.indnkeyatts
      )
    ) ORDER BY NOT i.indisprimary, i.indexrelid), '[]')
    FROM pg_index i
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indexprs IS NULL
  ),
  'invalidIndexes', (
    SELECT coalesce(json_agg(x.relname ORDER BY x.relname), '[]')
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
    WHERE i.indrelid = c.oid AND NOT i.indisvalid
  ),
  'relations', (
    SELECT json_agg(json_build_object(
      'schema', rn.nspname,
      'name', r.relname,
      'kind', r.relkind::text,
      'persistence', r.relpersistence::text,
      'replicaIdentity', r.relreplident::text,
      'identityColumns', (
        SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]')
        FROM pg_attribute a
        WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND (
          r.relreplident = 'f' OR EXISTS (
            SELECT FROM pg_index i
            WHERE i.indrelid = r.oid AND i.indisvalid AND i.indimmediate 
              AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
              AND (r.relreplident = 'd' AND i.indisprimary OR r.relreplident = 'i' AND i.indisreplident)
          )
        )
      ),
      'identityIndexes', (
        SELECT coalesce(json_agg(json_build_object('name', x.relname, 'columns', (
          SELECT json_agg(a.attname ORDER BY k.place)
          FROM unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
          JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = k.attnum
          WHERE k.place <= i.indnkeyatts
        )) ORDER BY i.indexrelid), '[]')
        FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = r.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
          AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT EXISTS (
            SELECT FROM unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
            LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = k.attnum
            WHERE k.place <= i.indnkeyatts AND (a.attnum IS NULL OR a.attnum <= 0 OR NOT a.attnotnull)
          )
      )
    ) ORDER BY r.oid <> c.oid, rn.nspname, r.relname)
    FROM (
      WITH RECURSIVE tree AS (
        SELECT c.oid AS relid, c.relkind
        UNION ALL
        SELECT p.oid, p.relkind
        FROM tree JOIN pg_inherits i ON i.inhparent = tree.relid JOIN pg_class p ON p.oid = i.inhrelid
        WHERE tree.relkind = 'p'
      )
      SELECT relid FROM tree WHERE relid = c.oid OR relkind <> 'p'
    ) member
    JOIN pg_class r ON r.oid = member.relid
    JOIN pg_namespace rn ON rn.oid = r.relnamespace
  )
)), '[]')::text AS facts
FROM json_to_recordset($1::json) AS wanted("schema" text, "name" text)
JOIN pg_namespace n ON n.nspname = wanted."schema"
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted."name"`;

/** Describes the tables that exist, and omits the others. */
export async function describeTables(
  db: Queryable,
  tables: readonly TableName[],
): Promise<readonly TableDescription[]> {
  const wanted = JSON.stringify(tables.map(({ schema, name }) => ({ schema, name })));
  // PostgreSQL takes longer to plan it than to run it: a connection that asks again finds the plan kept.
  const { rows } = await db.query<{ facts: string }>({
    name: 'describe_tables',
    text: DESCRIBE_TABLES,
    values: [wanted],
  });
  return JSON.parse(rows[0]?.facts ?? '[]') as TableDescription[];
}

export function findTable(
  tables: readonly TableDescription[],
  { schema, name }: TableName,
): TableDescription | undefined {
  return tables.find((table) => table.schema === schema && table.name === name);
}

/** The columns of a resource's table in column order, with hidden and without generated ones. Empty without a table. */
export async function describeColumns(
  db: Queryable,
  { table }: Resource,
): Promise<readonly ColumnDescription[]> {
  const found = findTable(await describeTables(db, [table]), table);
  return found?.columns.filter(({ isGenerated }) => !isGenerated) ?? [];
}

/** Maps PostgreSQL types to their form in files, events and topics. */
export interface ValueTypes {
  /** @throws when the type is unknown or cannot be exported */
  valueType(oid: number, typeModifier: number): ValueType;
}

/**
 * The row type of a resource: not hidden, in column order. Generated columns are left out, in files
 * and feed alike: logical decoding does not carry them before PostgreSQL 18, and an export row must equal the event's.
 * @throws SetupError when the table, or a column of its fields, is not there
 */
export async function describeRowType(
  db: Queryable,
  resource: Resource,
  types: ValueTypes,
): Promise<RowType> {
  return rowTypeOf(findTable(await describeTables(db, [resource.table]), resource.table), resource, types);
}

/** As `describeRowType` has it, of a table that was described. @throws SetupError when there is none */
export function rowTypeOf(
  table: TableDescription | undefined,
  resource: Resource,
  types: ValueTypes,
): RowType {
  if (table === undefined) {
    throw new SetupError(
      `the table ${showTable(resource.table)} of the resource ${resource.name} does not exist`,
    );
  }
  const visible = visibleColumns(table, resource);
  const missing = columnsOfFields(resource.fields ?? []).find(
    (name) => !visible.some((each) => each.name === name),
  );
  if (missing !== undefined) {
    throw new SetupError(
      `${showTable(resource.table)} has no column ${missing}, which fields of ${resource.name} names: adapt the catalog`,
    );
  }
  return {
    resource: resource.name,
    columns: visible.map(({ name, typeOid, typeModifier }) => ({
      name,
      type: types.valueType(typeOid, typeModifier),
      isKey: resource.key.includes(name),
    })),
    ...fieldsOf(resource),
  };
}

/** For a row type of the resource. */
export function fieldsOf({ fields }: Pick<Resource, 'fields'>): Pick<RowType, 'fields'> {
  return fields === undefined ? {} : { fields };
}

/** The exposed columns of a table, in column order. */
export function visibleColumns(table: TableDescription, resource: Resource): readonly ColumnDescription[] {
  return table.columns.filter(({ name, isGenerated }) => !isGenerated && leaves(resource, name));
}
