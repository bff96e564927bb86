import { ownerColumns, type Resource, whereColumns } from '../domain/catalog.ts';
import { columnsOfFields } from '../domain/public-field.ts';
import { quoteIdent, quoteTable } from '../postgres/quote.ts';
import { operationSchema } from './catalog-schema.ts';
import {
  type ColumnDescription,
  type TableDescription,
  type UniqueIndex,
  visibleColumns,
} from './describe-table.ts';
import type { Finding, FindingCode } from './finding.ts';
import { structuredKeyColumns } from './key-limits.ts';
import { showTable } from './parse-table-name.ts';
import { planIdentity, type ResourceWish, showIdentityProblem, tellsOldRows } from './replica-identity.ts';

/** OIDs of date, timestamp and timestamptz: fixed by PostgreSQL itself. */
const MOMENT_OIDS: readonly number[] = [1082, 1114, 1184];

const KINDS: Readonly<Record<string, string>> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  S: 'a sequence',
  i: 'an index',
  I: 'an index',
  c: 'a composite type',
};

/** Facts of the server that the checks of a table need. `role` reads the source, and the remedies name it. */
export interface CheckedServer {
  readonly role: string;
  /** 150004 for 15.4. */
  readonly versionNumber: number;
  readonly wish?: ResourceWish;
}

/** Compares one resource with its table. Pure. */
export function checkTable(
  resource: Resource,
  table: TableDescription | undefined,
  server: CheckedServer,
): Finding[] {
  const name = showTable(resource.table);
  if (table === undefined) {
    return [finding(resource, 'missing_table', `the table ${name} does not exist in this database.`)];
  }
  const kind = KINDS[table.kind];
  if (kind !== undefined) {
    return [finding(resource, 'not_a_table', `${name} is ${kind}; only a table's changes are in the WAL.`)];
  }
  return [
    ...checkStorage(resource, table),
    ...checkAccess(resource, table, server.role),
    ...checkColumns(resource, table),
    ...checkFieldTypes(resource, table),
    ...checkKey(resource, table),
    ...checkReplicaIdentity(resource, table, server),
    ...checkAsOf(resource, table),
  ];
}

function checkStorage(resource: Resource, table: TableDescription): Finding[] {
  const name = showTable(resource.table);
  const findings: Finding[] = [];
  if (table.isPartition) {
    findings.push(
      finding(
        resource,
        'partition',
        `${name} is a partition: name the partitioned table that it belongs to.`,
      ),
    );
  }
  if (table.hasChildren) {
    findings.push(
      finding(
        resource,
        'inherited_table',
        `other tables inherit from ${name}: a read of it holds their rows, but its changes do not. ` +
          'Use declarative partitioning, or name the tables one by one.',
      ),
    );
  }
  for (const relation of table.relations) {
    if (relation.kind === 'f') {
      findings.push(
        finding(resource, 'not_a_table', `the partition ${showTable(relation)} is a foreign table.`),
      );
    } else if (relation.persistence === 'u') {
      findings.push(
        finding(
          resource,
          'not_logged',
          `${showTable(relation)} is unlogged: its changes are not in the WAL.`,
          `ALTER TABLE ${quoteTable(relation)} SET LOGGED`,
        ),
      );
    } else if (relation.persistence === 't') {
      findings.push(finding(resource, 'not_logged', `${showTable(relation)} is a temporary table.`));
    }
  }
  return findings;
}

function checkAccess(resource: Resource, table: TableDescription, role: string): Finding[] {
  const name = showTable(resource.table);
  const findings: Finding[] = [];
  if (!table.canSelect) {
    findings.push(
      finding(
        resource,
        'missing_right',
        `the role ${role} may not read ${name} (SELECT on the whole table is needed to lock it for an export).`,
        `GRANT USAGE ON SCHEMA ${quoteIdent(table.schema)} TO ${quoteIdent(role)}; ` +
          `GRANT SELECT ON ${quoteTable(table)} TO ${quoteIdent(role)}`,
      ),
    );
  }
  if (table.isRowSecurityActive) {
    findings.push(
      finding(
        resource,
        'row_security',
        `row security hides rows of ${name} from the role ${role}, so an export would silently lack them.`,
        `ALTER ROLE ${quoteIdent(role)} BYPASSRLS`,
      ),
    );
  }
  return findings;
}

function checkColumns(resource: Resource, table: TableDescription): Finding[] {
  const findings: Finding[] = [];
  const columnOf = new Map(table.columns.map((column) => [column.name, column]));
  for (const [column, use] of namedColumns(resource)) {
    const description = columnOf.get(column);
    if (description === undefined) {
      findings.push(finding(resource, 'missing_column', missingColumn(resource, table, column, use)));
    } else if (description.isGenerated && use !== 'hide') {
      findings.push(
        finding(
          resource,
          'generated_column',
          `${column} (${use}) is a generated column, which is not in the WAL; use a stored one.`,
        ),
      );
    }
  }
  if (resource.range !== undefined)
    findings.push(...checkMoment(resource, columnOf.get(resource.range), 'range'));
  if (resource.softDelete !== undefined) {
    const column = columnOf.get(resource.softDelete);
    findings.push(...checkMoment(resource, column, 'soft_delete'));
    if (column?.isNotNull === true) {
      findings.push(
        finding(
          resource,
          'never_null',
          `${column.name} (soft_delete) can't be null, so every record would count as deleted.`,
          `ALTER TABLE ${quoteTable(table)} ALTER COLUMN ${quoteIdent(column.name)} DROP NOT NULL`,
        ),
      );
    }
  }
  return findings;
}

/** Every column that the catalog names, with the first field that names it. */
function namedColumns(resource: Resource): Map<string, string> {
  const named = new Map<string, string>();
  const add = (use: string, columns: readonly string[]) => {
    for (const column of columns) if (!named.has(column)) named.set(column, use);
  };
  add('key', resource.key);
  add('account', ownerColumns(resource));
  add('range', resource.range === undefined ? [] : [resource.range]);
  add('soft_delete', resource.softDelete === undefined ? [] : [resource.softDelete]);
  for (const [name, operation] of Object.entries(resource.operations)) {
    const { data } = operationSchema.safeParse(operation);
    add(`operations.${name}`, [...Object.keys(data?.set ?? {}), ...(data?.set_from_params ?? [])]);
    add(`operations.${name}`, Object.keys(data?.skip_when ?? {}));
  }
  add('where', whereColumns(resource));
  add('fields', columnsOfFields(resource.fields ?? []));
  add('expose', resource.expose ?? []);
  add('hide', resource.hide);
  return named;
}

function missingColumn(resource: Resource, table: TableDescription, column: string, use: string): string {
  const visible = visibleColumns(table, resource).map(({ name }) => name);
  const shown = visible.length > 40 ? [...visible.slice(0, 40), '…'] : visible;
  return `${showTable(table)} has no column ${column} (${use}); it has ${shown.join(', ')}.`;
}

const BYTEA_OID = 17;

/** A path leads into JSON, and a map is of values that have one short text. */
function checkFieldTypes(resource: Resource, table: TableDescription): Finding[] {
  return (resource.fields ?? []).flatMap((field) => {
    const column = 'column' in field ? table.columns.find(({ name }) => name === field.column) : undefined;
    if (column === undefined) return [];
    const isStructure = column.equality === 'structure' && !column.typeName.endsWith('[]');
    if ('path' in field && !isStructure) {
      const message = `${column.name} (fields.${field.name}) is ${column.typeName}; a path needs json or jsonb.`;
      return [finding(resource, 'wrong_type', message)];
    }
    const isValue = column.equality !== 'structure' && column.baseTypeOid !== BYTEA_OID;
    if ('map' in field && !isValue) {
      const message = `${column.name} (fields.${field.name}) is ${column.typeName}; a map needs numbers, texts, an enum or boolean.`;
      return [finding(resource, 'wrong_type', message)];
    }
    return [];
  });
}

function checkMoment(resource: Resource, column: ColumnDescription | undefined, use: string): Finding[] {
  if (column === undefined || MOMENT_OIDS.includes(column.baseTypeOid)) return [];
  const message = `${column.name} (${use}) is ${column.typeName}; it must be a timestamp, timestamptz or date.`;
  return [finding(resource, 'wrong_type', message)];
}

/** Whether these columns tell every two rows apart at every moment. */
export function isKeyOf(table: TableDescription, key: readonly string[]): boolean {
  const isNeverNull = (name: string) => table.columns.some((one) => one.name === name && one.isNotNull);
  return key.every(isNeverNull) && table.uniqueIndexes.some(({ columns }) => isSameSet(columns, key));
}

function checkKey(resource: Resource, table: TableDescription): Finding[] {
  const columns = resource.key.map((name) => table.columns.find((column) => column.name === name));
  if (columns.includes(undefined) || isKeyOf(table, resource.key)) return [];
  const nullable = columns
    .filter((column) => column?.isNotNull === false)
    .map((column) => column?.name ?? '');
  const index = table.uniqueIndexes.find((one) => isSameSet(one.columns, resource.key));
  const list = resource.key.map(quoteIdent).join(', ');
  const setNotNull = nullable.map((column) => `ALTER COLUMN ${quoteIdent(column)} SET NOT NULL`).join(', ');
  const remedies = [
    ...(nullable.length === 0 ? [] : [`ALTER TABLE ${quoteTable(table)} ${setNotNull}`]),
    ...(index === undefined ? [`CREATE UNIQUE INDEX CONCURRENTLY ON ${quoteTable(table)} (${list})`] : []),
  ];
  return [
    finding(
      resource,
      'no_key',
      `(${resource.key.join(', ')}) is not a primary key or a unique key of not-null columns of ${showTable(table)} ` +
        `(partial and deferrable ones do not count). ${showKeys(table.uniqueIndexes)}`,
      remedies.join('; '),
    ),
  ];
}

function showKeys(indexes: readonly UniqueIndex[]): string {
  if (indexes.length === 0) return 'It has no unique key at all.';
  return `Its unique keys: ${indexes.map(({ columns }) => `(${columns.join(', ')})`).join(', ')}.`;
}

function checkReplicaIdentity(
  resource: Resource,
  table: TableDescription,
  { versionNumber, wish }: CheckedServer,
): Finding[] {
  return planIdentity(resource, table, versionNumber, wish).map((problem) => {
    const message = showIdentityProblem(problem);
    const { steps } = problem;
    if (steps.length === 0) return finding(resource, 'replica_identity', message);
    return { ...finding(resource, 'replica_identity', message, steps.join('; ')), steps };
  });
}

function checkAsOf(resource: Resource, table: TableDescription): Finding[] {
  const [structured] = structuredKeyColumns(resource, table);
  if (resource.asOf === true && structured !== undefined) {
    const { name, typeName } = structured;
    const message = `as_of can't find rows by their key, since ${name} is ${typeName}: take as_of: true out of the catalog, or name a key of plain columns.`;
    return [finding(resource, 'as_of', message)];
  }
  const generated = table.columns.filter(({ isGenerated }) => isGenerated).map(({ name }) => name);
  if (resource.asOf !== true || generated.length === 0 || tellsOldRows(resource, table)) return [];
  const message =
    `as_of needs REPLICA IDENTITY FULL, under which PostgreSQL 18 refuses the product's own writes to a published table with ` +
    `generated columns (${generated.join(', ')}): take as_of: true out of the catalog.`;
  return [finding(resource, 'as_of', message)];
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value) => b.includes(value));
}

function finding(resource: Resource, code: FindingCode, message: string, sql?: string): Finding {
  return { code, resource: resource.name, message, ...(sql === undefined ? {} : { sql }) };
}
