import { between, planSample } from '../sample-plan.ts';
import type { SampleOptions } from '../sample-product.ts';

/** `rows` are invoices. */
export interface DocumintOptions extends SampleOptions {
  readonly lineItemsPerInvoice?: number;
}

/** How many rows of what; the rest follows from the numbers of the rows. */
export interface DocumintPlan {
  readonly seed: number;
  readonly accounts: number;
  readonly customers: number;
  /** The first so many customers are the main account's, the others take turns. */
  readonly mainCustomers: number;
  readonly invoices: number;
  /** The rest of 1,000,000 goes to the other accounts. */
  readonly mainSharePpm: number;
  readonly lineItems: number;
}

const MAX_LINE_ITEMS_PER_INVOICE = 50;
const INVOICES_PER_CUSTOMER = 20;

/** Works out the counts. @throws SetupError for an option out of range */
export function planRows({ lineItemsPerInvoice = 0.5, ...options }: DocumintOptions): DocumintPlan {
  const problems = between('lineItemsPerInvoice', lineItemsPerInvoice, 0, MAX_LINE_ITEMS_PER_INVOICE);
  const plan = planSample(
    options,
    { rowsPerOwner: INVOICES_PER_CUSTOMER, childrenPerRow: lineItemsPerInvoice },
    problems,
  );
  return {
    seed: plan.seed,
    accounts: plan.accounts,
    customers: plan.owners,
    mainCustomers: plan.mainOwners,
    invoices: plan.rows,
    mainSharePpm: plan.mainSharePpm,
    lineItems: plan.children,
  };
}
