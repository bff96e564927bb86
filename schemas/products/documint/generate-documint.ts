import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { insertRows } from './insert-rows.ts';
import { type DocumintOptions, planRows } from './plan-rows.ts';

export interface GeneratedDocumint {
  readonly customers: number;
  readonly invoices: number;
  readonly lineItems: number;
  /** The accounts' values of `account_id`; the first is the main one. */
  readonly accounts: readonly string[];
}

/** Makes DocuMint's schema, as it would be in production. Does nothing where it stands. */
export async function createDocumint(db: Queryable): Promise<void> {
  await db.query((await readSteps()).join('\n'));
}

/**
 * Makes the schema and fills it with made-up but lifelike data, the same each time for the same options.
 * All of it is one transaction (one message of several statements, which works through a pool too), so that a
 * broken load leaves nothing behind.
 * @throws SetupError when an option is out of range, or there are rows already: existing data is never touched
 */
export async function generateDocumint(db: Queryable, options: DocumintOptions): Promise<GeneratedDocumint> {
  const plan = planRows(options);
  const [tables, constraints] = await readSteps();
  await db.query(tables);
  await refuseExistingRows(db);
  await db.query(
    [
      // A million rows outlast what an application's role may have as its limit; the size of the load is the bound.
      'SET LOCAL statement_timeout = 0',
      ...insertRows(plan),
      ...['customers', 'invoices', 'line_items'].map(resetSequence),
      constraints,
    ].join(';\n'),
  );
  // Not possible within the transaction. Without it the first export would pay for setting every row's hint bits,
  // and the estimates would be those of an empty table.
  await db.query('VACUUM (ANALYZE) documint.customers, documint.invoices, documint.line_items');
  return {
    customers: plan.customers,
    invoices: plan.invoices,
    lineItems: plan.lineItems,
    accounts: Array.from(
      { length: plan.accounts },
      (_, index) => `acc_${String(index + 1).padStart(3, '0')}`,
    ),
  };
}

async function readSteps(): Promise<[tables: string, constraints: string]> {
  const read = (name: string) => readFile(join(import.meta.dirname, name), 'utf8');
  return Promise.all([read('tables.sql'), read('constraints.sql')]);
}

async function refuseExistingRows(db: Queryable): Promise<void> {
  const { rows } = await db.query<{ filled: string }>(`
SELECT (EXISTS (SELECT FROM documint.customers) OR EXISTS (SELECT FROM documint.invoices))::text AS filled`);
  if (rows[0]?.filled === 'true') {
    throw new SetupError('the schema documint holds rows already', [
      'sample data goes into an empty one only: use another database, or run: DROP SCHEMA documint CASCADE;',
    ]);
  }
}

/** The next invoice that the product itself inserts follows the made-up ones. */
function resetSequence(table: string): string {
  const sequence = `pg_get_serial_sequence('documint.${table}', 'id')`;
  return `SELECT setval(${sequence}, coalesce((SELECT max(id) FROM documint.${table}), 0) + 1, false)`;
}
