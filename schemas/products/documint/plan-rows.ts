import { SetupError } from '../../../shared/runtime/errors.ts';

export interface DocumintOptions {
  /** Number of invoices. */
  readonly rows: number;
  /** The same rows, seed and shares give the same data, byte for byte. */
  readonly seed?: number;
  /** Number of accounts, named `acc_001`, `acc_002`, … */
  readonly accounts?: number;
  /** Part of the customers, and so of the invoices, that is `acc_001`'s; from 0 to 1. */
  readonly mainAccountShare?: number;
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

const MAX_ROWS = 100_000_000;
const MAX_ACCOUNTS = 999;
const MAX_LINE_ITEMS_PER_INVOICE = 50;
const INVOICES_PER_CUSTOMER = 20;

/** Works out the counts. @throws SetupError for an option out of range */
export function planRows(options: DocumintOptions): DocumintPlan {
  const { rows, seed = 1, accounts = 10, mainAccountShare = 0.9, lineItemsPerInvoice = 0.5 } = options;
  const problems = [
    ...wholeNumber('rows', rows, 0, MAX_ROWS),
    ...wholeNumber('seed', seed, 0, 1_000_000_000),
    ...wholeNumber('accounts', accounts, 1, MAX_ACCOUNTS),
    ...between('mainAccountShare', mainAccountShare, 0, 1),
    ...between('lineItemsPerInvoice', lineItemsPerInvoice, 0, MAX_LINE_ITEMS_PER_INVOICE),
  ];
  if (problems.length > 0) throw new SetupError('the sample data can not be made', problems);
  const customers = Math.max(accounts, Math.ceil(rows / INVOICES_PER_CUSTOMER));
  // Every account has a customer at least, so that none is without an owner for its invoices.
  const others = accounts - 1;
  const mainCustomers =
    others === 0
      ? customers
      : Math.min(customers - others, Math.max(1, Math.round(customers * mainAccountShare)));
  return {
    seed,
    accounts,
    customers,
    mainCustomers,
    invoices: rows,
    mainSharePpm: others === 0 ? 1_000_000 : Math.round(mainAccountShare * 1_000_000),
    lineItems: Math.round(rows * lineItemsPerInvoice),
  };
}

function wholeNumber(name: string, value: number, min: number, max: number): string[] {
  const isRight = Number.isInteger(value) && value >= min && value <= max;
  return isRight ? [] : [`${name} must be a whole number from ${min} to ${max}, not ${value}`];
}

function between(name: string, value: number, min: number, max: number): string[] {
  return value >= min && value <= max ? [] : [`${name} must be a number from ${min} to ${max}, not ${value}`];
}
