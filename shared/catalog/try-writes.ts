import { randomBytes } from 'node:crypto';
import { type Catalog, ownerColumns, type Resource } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { quoteIdent, quoteTable } from '../postgres/quote.ts';
import { describeServer } from './describe-source.ts';
import { describeTables, findTable, type TableDescription } from './describe-table.ts';
import { showTable } from './parse-table-name.ts';
import { PUBLICATION_OPTIONS } from './publication-plan.ts';
import { type IdentityTarget, type IdentityWish, planIdentity, resolveWishes } from './replica-identity.ts';

/** Result of trying the product's writes. */
export interface WriteTrials {
  /** Tables whose UPDATE or DELETE the server refuses, with its reason. */
  readonly refused: readonly string[];
  /** Tables on which this role has no right to try. */
  readonly untried: readonly string[];
}

/** No product statement should wait for a trial. */
const LOCK_TIMEOUT_MS = 500;

/** insufficient_privilege, lock_not_available */
const NOT_TRIED: readonly string[] = ['42501', '55P03'];

/**
 * Tries for each table whether UPDATE and DELETE work. The server checks the replica identity when a statement starts, and EXPLAIN
 * starts it without running it. No row, trigger or sequence is touched.
 */
export async function tryWrites(db: Queryable, catalog: Catalog): Promise<WriteTrials> {
  return tryEach(catalog, async (resource) => {
    const table = quoteTable(resource.table);
    const column = quoteIdent(ownerColumns(resource)[0] ?? resource.key[0] ?? '');
    await db.query(
      `SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}; ` +
        `EXPLAIN UPDATE ${table} SET ${column} = ${column} WHERE false; EXPLAIN DELETE FROM ${table} WHERE false`,
    );
  });
}

/**
 * Tries the same on a copy of each table's definition, with the planned replica identity and in an equal publication. Everything is
 * rolled back. Of the table itself only the definition is read.
 */
export async function tryPlannedIdentities(
  db: Queryable,
  catalog: Catalog,
  wish: IdentityWish,
): Promise<WriteTrials> {
  const { versionNumber } = await describeServer(db);
  const tables = await describeTables(
    db,
    catalog.resources.map(({ table }) => table),
  );
  const wishes = await resolveWishes(db, catalog.resources, tables, wish);
  return tryEach(catalog, async (resource) => {
    const table = findTable(tables, resource.table);
    if (table === undefined) return;
    const planned =
      planIdentity(resource, table, versionNumber, wishes.get(resource.name))[0]?.target ??
      currentTarget(table);
    await tryOnCopy(db, resource, planned);
  });
}

function currentTarget({ relations }: TableDescription): IdentityTarget {
  return relations[0]?.replicaIdentity === 'f' ? 'full' : (relations[0]?.identityColumns ?? []);
}

/** Ends every trial with an error, so its objects are always rolled back. */
const UNDO = '22012';

async function tryOnCopy(db: Queryable, resource: Resource, target: IdentityTarget): Promise<void> {
  const { table } = resource;
  const name = `tandem_trial_${randomBytes(6).toString('hex')}`;
  const copy = quoteTable({ schema: name, name: 'copy' });
  const identity =
    target === 'full'
      ? [`ALTER TABLE ${copy} REPLICA IDENTITY FULL`]
      : [
          `CREATE UNIQUE INDEX trial ON ${copy} (${target.map(quoteIdent).join(', ')})`,
          `ALTER TABLE ${copy} REPLICA IDENTITY USING INDEX trial`,
        ];
  const column = quoteIdent(ownerColumns(resource)[0] ?? resource.key[0] ?? '');
  // One message is one transaction on one connection, also through a pool. Its last statement fails and undoes the others.
  const statements = [
    `SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`,
    `CREATE SCHEMA ${quoteIdent(name)}`,
    `CREATE TABLE ${copy} (LIKE ${quoteTable(table)} INCLUDING ALL)`,
    ...identity,
    `CREATE PUBLICATION ${quoteIdent(name)} FOR TABLE ${copy} WITH ${PUBLICATION_OPTIONS}`,
    `UPDATE ${copy} SET ${column} = ${column} WHERE false`,
    `DELETE FROM ${copy} WHERE false`,
    'SELECT 1 / (1 - count(*)) FROM (VALUES (1)) AS one',
  ];
  try {
    await db.query(statements.join('; '));
  } catch (error) {
    if (sqlState(error) !== UNDO) throw error;
  }
}

async function tryEach(
  { resources }: Catalog,
  attempt: (resource: Resource) => Promise<void>,
): Promise<WriteTrials> {
  const refused: string[] = [];
  const untried: string[] = [];
  for (const resource of resources) {
    const name = showTable(resource.table);
    try {
      await attempt(resource);
    } catch (error) {
      const state = sqlState(error);
      // An error without a code does not come from the server.
      if (state === undefined) throw error;
      if (NOT_TRIED.includes(state)) untried.push(name);
      else {
        const { message, detail } = error as { message: string; detail?: string };
        refused.push(`${resource.name}: ${name}: ${message}${detail === undefined ? '' : `. ${detail}`}`);
      }
    }
  }
  return { refused, untried };
}

function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}
