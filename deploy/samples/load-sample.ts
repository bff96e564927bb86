import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Queryable } from '../../shared/postgres/queryable.ts';
import { SetupError } from '../../shared/runtime/errors.ts';

/** Where a sample's rows go. */
export interface SampleSchema {
  /** The schema in the database, and the folder beside this file with `tables.sql` and `constraints.sql`. */
  readonly name: string;
  readonly tables: readonly string[];
  /** Those whose `id` is numbered by PostgreSQL. */
  readonly numberedTables: readonly string[];
}

/** Makes the schema. Does nothing where it stands. */
export async function createSchema(db: Queryable, { name }: SampleSchema): Promise<void> {
  await db.query((await readSteps(name)).join('\n'));
}

/** The schema must stand. */
export async function hasRows(db: Queryable, { name, tables }: SampleSchema): Promise<boolean> {
  const filled = tables.map((table) => `EXISTS (SELECT FROM ${name}.${table})`).join(' OR ');
  const { rows } = await db.query<{ filled: string }>(`SELECT (${filled})::text AS filled`);
  return rows[0]?.filled === 'true';
}

/**
 * Makes the schema and fills it by these statements. All of it is one transaction (one message of several statements,
 * which works through a pool too), so that a broken load leaves nothing behind.
 *
 * @throws SetupError when there are rows already: existing data is never touched
 */
export async function loadSample(
  db: Queryable,
  schema: SampleSchema,
  statements: readonly string[],
): Promise<void> {
  const { name, tables, numberedTables } = schema;
  const [makeTables, makeConstraints] = await readSteps(name);
  await db.query(makeTables);
  if (await hasRows(db, schema)) {
    throw new SetupError(`the schema ${name} holds rows already`, [
      `sample data goes into an empty one only: use another database, or run: DROP SCHEMA ${name} CASCADE;`,
    ]);
  }
  await db.query(
    [
      // A million rows outlast what an application's role may have as its limit; the size of the load is the bound.
      'SET LOCAL statement_timeout = 0',
      ...statements,
      ...numberedTables.map((table) => resetSequence(`${name}.${table}`)),
      makeConstraints,
    ].join(';\n'),
  );
  // Not possible within the transaction. Without it the first export would pay for setting every row's hint bits,
  // and the estimates would be those of an empty table.
  await db.query(`VACUUM (ANALYZE) ${tables.map((table) => `${name}.${table}`).join(', ')}`);
}

async function readSteps(name: string): Promise<[tables: string, constraints: string]> {
  const read = (file: string) => readFile(join(import.meta.dirname, name, file), 'utf8');
  return Promise.all([read('tables.sql'), read('constraints.sql')]);
}

/** The next row that the product itself inserts follows the made-up ones. */
function resetSequence(table: string): string {
  const sequence = `pg_get_serial_sequence('${table}', 'id')`;
  return `SELECT setval(${sequence}, coalesce((SELECT max(id) FROM ${table}), 0) + 1, false)`;
}
