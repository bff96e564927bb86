import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { createSchema, loadSample, type SampleSchema } from '../load-sample.ts';
import { accountNames } from '../sample-plan.ts';
import { insertRows } from './insert-rows.ts';
import { type DocumintOptions, planRows } from './plan-rows.ts';

export interface GeneratedDocumint {
  readonly customers: number;
  readonly invoices: number;
  readonly lineItems: number;
  /** The accounts' values of `account_id`; the first is the main one. */
  readonly accounts: readonly string[];
}

export const DOCUMINT_SCHEMA: SampleSchema = {
  name: 'documint',
  tables: ['customers', 'invoices', 'line_items'],
  numberedTables: ['customers', 'invoices', 'line_items'],
};

/** Makes DocuMint's schema, as it would be in production. Does nothing where it stands. */
export async function createDocumint(db: Queryable): Promise<void> {
  await createSchema(db, DOCUMINT_SCHEMA);
}

/**
 * Makes the schema and fills it with made-up but lifelike data, the same each time for the same options.
 * @throws SetupError when an option is out of range, or there are rows already: existing data is never touched
 */
export async function generateDocumint(db: Queryable, options: DocumintOptions): Promise<GeneratedDocumint> {
  const plan = planRows(options);
  await loadSample(db, DOCUMINT_SCHEMA, insertRows(plan));
  return {
    customers: plan.customers,
    invoices: plan.invoices,
    lineItems: plan.lineItems,
    accounts: accountNames(plan.accounts),
  };
}
