import { type Finding, showFinding } from '../catalog/finding.ts';
import { type Catalog, type Resource, type TableName, withAncestors } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { quoteIdent, quoteTable } from '../postgres/quote.ts';
import type { Log } from '../runtime/log.ts';
import { findOperation } from './operation.ts';

/**
 * What a role is for. `read`: exports and the API's reads. `stream`: capture. `change`: bulk jobs, and the API, which runs bulk
 * operations. A role for one needs nothing of the others.
 */
export type Purpose = 'read' | 'stream' | 'change';

/** What a bulk operation writes to a table. */
interface Writes {
  readonly table: TableName;
  readonly columns: readonly string[];
  readonly deletes: boolean;
}

const LEDGER_SCHEMA = 'tandem';
const LEDGER_TABLE = { schema: LEDGER_SCHEMA, name: 'bulk_ledger' };
const LEDGER_RIGHTS = ['SELECT', 'INSERT', 'DELETE'] as const;

/** The least that a role needs which owns nothing: statements for its database's owner, or for a superuser. */
export function grantsFor(catalog: Catalog, purpose: Purpose, role: string): string[] {
  const to = `TO ${quoteIdent(role)}`;
  const tables = withAncestors(catalog.resources).map(({ table }) => table);
  const bySchema = Map.groupBy(tables, ({ schema }) => schema);
  const writes = purpose === 'change' ? writesOf(catalog) : [];
  return [
    ...(purpose === 'stream' ? [`ALTER ROLE ${quoteIdent(role)} REPLICATION`] : []),
    ...[...bySchema].flatMap(([schema, own]) => [
      `GRANT USAGE ON SCHEMA ${quoteIdent(schema)} ${to}`,
      `GRANT SELECT ON ${own.map(quoteTable).join(', ')} ${to}`,
    ]),
    ...writes.map((each) => `GRANT ${writeRights(each)} ON ${quoteTable(each.table)} ${to}`),
    ...(writes.length === 0 ? [] : ledgerGrants(role)),
  ];
}

function ledgerGrants(role: string): string[] {
  const to = `TO ${quoteIdent(role)}`;
  return [
    `GRANT USAGE ON SCHEMA ${quoteIdent(LEDGER_SCHEMA)} ${to}`,
    `GRANT ${LEDGER_RIGHTS.join(', ')} ON ${quoteTable(LEDGER_TABLE)} ${to}`,
  ];
}

function writeRights({ columns, deletes }: Pick<Writes, 'columns' | 'deletes'>): string {
  const update = columns.length === 0 ? [] : [`UPDATE (${columns.map(quoteIdent).join(', ')})`];
  return [...update, ...(deletes ? ['DELETE'] : [])].join(', ');
}

function writesOf({ resources }: Catalog): Writes[] {
  return resources.flatMap((resource) => {
    const found = writesOfOne(resource);
    return found.columns.length === 0 ? [] : [found];
  });
}

/** A row is locked before it is deleted, which takes the right to update some column of it. */
function writesOfOne(resource: Resource): Writes {
  const operations = Object.keys(resource.operations).flatMap((name) => findOperation(resource, name) ?? []);
  const columns = operations.flatMap((operation) => {
    if (operation.kind === 'set') return [...Object.keys(operation.set), ...operation.fromParams];
    if (operation.kind === 'http') return [];
    return operation.isSoft ? [resource.softDelete ?? ''] : resource.key.slice(0, 1);
  });
  return {
    table: resource.table,
    columns: [...new Set(columns)].filter((name) => name !== ''),
    deletes: operations.some((operation) => operation.kind === 'delete' && !operation.isSoft),
  };
}

interface RightsFacts {
  readonly role: string;
  readonly mayStream: boolean;
  /** Null for a ledger that is not there. */
  readonly mayUseLedger: boolean | null;
  /** Of the tables that are there. */
  readonly tables: readonly {
    readonly resource: string;
    readonly schema: string;
    readonly name: string;
    readonly mayRead: boolean;
    readonly missingColumns: readonly string[];
    readonly mayDelete: boolean;
  }[];
}

/** Names are compared rather than cast, which would itself need the right to look into the schema. */
const READ_RIGHTS = `
select json_build_object(
  'role', current_user,
  'mayStream', (select rolreplication or rolsuper from pg_roles where rolname = current_user),
  'mayUseLedger', (
    select has_schema_privilege(n.oid, 'USAGE') and bool_and(has_table_privilege(c.oid, wanted.privilege))
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    cross join json_array_elements_text($2::json) as wanted (privilege)
    where n.nspname = '${LEDGER_TABLE.schema}' and c.relname = '${LEDGER_TABLE.name}'
    group by n.oid
  ),
  'tables', (
    select coalesce(json_agg(json_build_object(
      'resource', w.resource, 'schema', w."schema", 'name', w."name",
      'mayRead', has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT'),
      'missingColumns', (
        select coalesce(json_agg(a.attname order by a.attnum), '[]')
        from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and w.columns ? a.attname
          and not has_column_privilege(c.oid, a.attnum, 'UPDATE')
      ),
      'mayDelete', has_table_privilege(c.oid, 'DELETE')
    ) order by w.place), '[]')
    from json_to_recordset($1::json)
      as w (place int, resource text, "schema" text, "name" text, columns jsonb, deletes boolean)
    join pg_namespace n on n.nspname = w."schema"
    join pg_class c on c.relnamespace = n.oid and c.relname = w."name"
  )
)::text as facts`;

/** The rights that the session's role lacks for a purpose, each with the GRANT; none for what is not there. */
export async function findMissingRights(
  db: Queryable,
  catalog: Catalog,
  purpose: Purpose,
): Promise<Finding[]> {
  const wanted = withAncestors(catalog.resources).map((resource, place) => {
    const { columns, deletes } = writesOfOne(resource);
    return { place, resource: resource.name, ...resource.table, columns, deletes };
  });
  const { rows } = await db.query<{ facts: string }>(READ_RIGHTS, [
    JSON.stringify(wanted),
    JSON.stringify(LEDGER_RIGHTS),
  ]);
  const { role, mayStream, mayUseLedger, tables } = JSON.parse(rows[0]?.facts ?? '{}') as RightsFacts;
  const findings: Finding[] = [];
  const add = (resource: string | undefined, message: string, sql: string) => {
    findings.push({ code: 'missing_right', resource, message, sql });
  };
  if (purpose === 'stream' && !mayStream) {
    add(undefined, `the role ${role} may not stream changes.`, `ALTER ROLE ${quoteIdent(role)} REPLICATION`);
  }
  for (const table of tables) {
    const { resource, missingColumns, mayRead } = table;
    const name = `${table.schema}.${table.name}`;
    const to = `TO ${quoteIdent(role)}`;
    if (!mayRead) {
      const grants = [
        `GRANT USAGE ON SCHEMA ${quoteIdent(table.schema)} ${to}`,
        `GRANT SELECT ON ${quoteTable(table)} ${to}`,
      ];
      add(resource, `the role ${role} may not read ${name}.`, grants.join('; '));
    }
    if (purpose !== 'change') continue;
    const deletes = !table.mayDelete && wanted.some((each) => each.resource === resource && each.deletes);
    if (missingColumns.length === 0 && !deletes) continue;
    const rights = writeRights({ columns: missingColumns, deletes });
    add(
      resource,
      `the role ${role} may not change ${name} as the operations of ${resource} do.`,
      `GRANT ${rights} ON ${quoteTable(table)} ${to}`,
    );
  }
  if (purpose === 'change' && mayUseLedger === false && writesOf(catalog).length > 0) {
    add(undefined, `the role ${role} may not write the ledger of bulk jobs.`, ledgerGrants(role).join('; '));
  }
  return findings;
}

/** Operations of these resources fail until the right is there; all others work. */
export function reportMissingRights(log: Log, missing: readonly Finding[]): void {
  for (const finding of missing) {
    log.error('source.right_missing', { resource: finding.resource, finding: showFinding(finding) });
  }
}
