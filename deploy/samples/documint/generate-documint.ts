import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { createSchema, loadSample, type SampleSchema } from '../load-sample.ts';
import { accountOf, createPick, oneOf, type PickNumber } from '../row-sql.ts';
import { accountNames, between, planSample, type SampleOptions } from '../sample-plan.ts';

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

/** `rows` are invoices. */
export interface DocumintOptions extends SampleOptions {
  readonly lineItemsPerInvoice?: number;
}

/** How many rows of what; the rest follows from the numbers of the rows. */
export interface DocumintPlan {
  readonly seed: number;
  readonly accounts: number;
  readonly customers: number;
  /** How many of the first customers are the main account's. The others take turns. */
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

const SALTS = [
  'accountShare',
  'customer',
  'status',
  'currency',
  'amount',
  'taxRate',
  'fxRate',
  'microsecond',
  'updateDelay',
  'term',
  'hasMemo',
  'memo',
  'metadata',
  'note',
  'isDeleted',
  'name',
  'country',
  'tags',
  'creditLimit',
  'quantity',
  'description',
] as const;
type Salt = (typeof SALTS)[number];

/** Months would make the length of a year matter; 1,096 days are 2023 to 2025. */
const SPAN_SECONDS = 1_096 * 86_400;

const FIRST_NAMES = [
  'Åsa',
  'Jürgen',
  'Zoë',
  'Nguyễn',
  'Olga',
  'Søren',
  'María',
  'Łukasz',
  '美咲',
  'Amélie',
  'Omar',
  'Ida',
];
const COMPANIES = [
  'Bakery',
  'Studio',
  'Werkstatt',
  'Imprimerie',
  'Café',
  'Labs',
  '商店',
  'Óptica',
  'Farm',
  'Music',
];
const COUNTRIES = ['DE', 'FR', 'US', 'JP', 'SE', 'PL', 'BR', 'GB'];
const CURRENCIES = ['EUR', 'USD', 'GBP', 'JPY', 'SEK'];
const MEMOS = [
  'Thank you for your business',
  'Zahlbar ohne Abzug – vielen Dank!',
  'Merci de préciser "facture" à l’envoi',
  'お支払いありがとうございます 🙏',
  'Net 30\nLate fee 1.5 % a month',
];
const DESCRIPTIONS = [
  'Template design',
  'PDF rendering, 1,000 pages',
  'Støtte og drift',
  'API-Zugang "Pro"',
  'E-signatur ✍️',
];
const STATUSES = ['draft', 'open', 'open', 'paid', 'paid', 'paid', 'paid', 'void', 'uncollectible'];

/**
 * The statements that fill the three tables, each one INSERT … SELECT over the rows' numbers: nothing travels from
 * here but the statement. A hash that PostgreSQL also partitions by decides every value, so the same plan
 * gives the same rows on every server.
 */
function insertRows(plan: DocumintPlan): string[] {
  return [
    insertCustomers(plan),
    insertInvoices(plan),
    ...(plan.lineItems === 0 ? [] : [insertLineItems(plan)]),
  ];
}

function picker({ seed }: DocumintPlan, table: number): PickNumber<Salt> {
  return createPick(SALTS, seed, table);
}

function sharesOf({ accounts, mainCustomers }: DocumintPlan): Parameters<typeof accountOf>[0] {
  return { accounts, mainOwners: mainCustomers };
}

const CUSTOMERS = 1;
const INVOICES = 2;
const LINE_ITEMS = 3;

/** An invoice, and a line, is deleted with what it belongs to: what is left refers to nothing that is not there. */
function isCustomerDeleted(plan: DocumintPlan, customer: string): string {
  return `${picker(plan, CUSTOMERS)('isDeleted', 100, customer)} = 0`;
}

function insertCustomers(plan: DocumintPlan): string {
  const pick = picker(plan, CUSTOMERS);
  const createdAt = `timestamptz '2022-01-01 00:00:00Z' + interval '1 microsecond' * ${pick('microsecond', 31_536_000_000_000)}`;
  return `
INSERT INTO documint.customers (id, account_id, name, email, country, tax_id, address, tags, credit_limit,
  created_at, updated_at, deleted_at)
SELECT i, ${accountOf(sharesOf(plan), 'i')},
  ${oneOf(FIRST_NAMES, pick('name', FIRST_NAMES.length))} || ' ' || ${oneOf(COMPANIES, pick('description', COMPANIES.length))},
  'billing+' || i || '@customer.example',
  country,
  CASE WHEN ${pick('note', 3)} > 0 THEN country || lpad(${pick('amount', 1_000_000_000)}::text, 9, '0') END,
  jsonb_build_object('line1', (1 + ${pick('quantity', 250)}) || ' Main Street', 'postal_code',
    lpad(${pick('memo', 100_000)}::text, 5, '0'), 'geo', jsonb_build_array(${pick('term', 180)} - 90, 0.5)),
  (ARRAY['vip', 'net "30"', 'e-invoice'])[1:${pick('tags', 4)}],
  CASE WHEN ${pick('status', 4)} > 0 THEN ${pick('creditLimit', 5_000_000)}::numeric / 100 END,
  created_at, updated_at, CASE WHEN ${isCustomerDeleted(plan, 'i')} THEN updated_at END
FROM generate_series(1::bigint, ${plan.customers}) AS i
CROSS JOIN LATERAL (SELECT ${oneOf(COUNTRIES, pick('country', COUNTRIES.length))} AS country, ${createdAt} AS created_at) a
CROSS JOIN LATERAL (SELECT created_at + interval '1 microsecond' * ${pick('updateDelay', 31_536_000_000_000)} AS updated_at) b`;
}

function insertInvoices(plan: DocumintPlan): string {
  const pick = picker(plan, INVOICES);
  const others = plan.customers - plan.mainCustomers;
  const mainCustomer = `1 + ${pick('customer', plan.mainCustomers)}`;
  const customer =
    others === 0
      ? mainCustomer
      : `CASE WHEN ${pick('accountShare', 1_000_000)} < ${plan.mainSharePpm} THEN ${mainCustomer}
           ELSE ${plan.mainCustomers} + 1 + ${pick('customer', others)} END`;
  // Invoices are issued one after the other over the whole span, as their numbers say.
  const stepMicroseconds = Math.floor((SPAN_SECONDS * 1_000_000) / Math.max(1, plan.invoices));
  const createdAt = `timestamptz '2023-01-01 00:00:00Z'
    + interval '1 microsecond' * ((i - 1) * ${stepMicroseconds} + ${pick('microsecond', stepMicroseconds)})`;
  return `
INSERT INTO documint.invoices (id, account_id, customer_id, status, currency, tax, total, fx_rate,
  issued_on, memo, metadata, internal_notes, created_at, updated_at, deleted_at)
SELECT i, ${accountOf(sharesOf(plan), 'customer_id')}, customer_id,
  ${oneOf(STATUSES, pick('status', STATUSES.length))}::documint.invoice_status,
  ${oneOf(CURRENCIES, pick('currency', CURRENCIES.length))},
  tax, net + tax,
  trim_scale((500000 + ${pick('fxRate', 1_500_000)})::numeric / 1000000),
  (created_at AT TIME ZONE 'UTC')::date,
  CASE WHEN ${pick('hasMemo', 2)} > 0 THEN ${oneOf(MEMOS, pick('memo', MEMOS.length))} END,
  CASE ${pick('metadata', 20)} WHEN 0 THEN NULL WHEN 1 THEN jsonb 'null'
    ELSE jsonb_build_object('po', 'PO-' || ${pick('metadata', 1_000_000)}) END,
  CASE WHEN ${pick('note', 5)} = 0 THEN 'margin ' || ${pick('note', 60)} || ' %' END,
  created_at, updated_at, CASE WHEN is_deleted THEN updated_at END
FROM generate_series(1::bigint, ${plan.invoices}) AS i
CROSS JOIN LATERAL (
  SELECT ${customer} AS customer_id, ${createdAt} AS created_at, ${pick('amount', 2_000_000)}::numeric / 100 AS net
) a
CROSS JOIN LATERAL (
  SELECT created_at + interval '1 microsecond' * ${pick('updateDelay', 2_592_000_000_000)} AS updated_at,
    round(net * (ARRAY[0, 0.07, 0.19, 0.25])[1 + ${pick('taxRate', 4)}], 2) AS tax,
    ${isCustomerDeleted(plan, 'customer_id')} OR ${pick('isDeleted', 100)} < 2 AS is_deleted
) b`;
}

function insertLineItems(plan: DocumintPlan): string {
  const pick = picker(plan, LINE_ITEMS);
  // The lines are dealt out evenly and in order, so the number of a line says both its invoice and its place there.
  const invoice = `1 + (i - 1) * ${plan.invoices} / ${plan.lineItems}`;
  const firstOfInvoice = `((invoice_id - 1) * ${plan.lineItems} + ${plan.invoices} - 1) / ${plan.invoices}`;
  return `
INSERT INTO documint.line_items (id, account_id, invoice_id, position, description, quantity, unit_price,
  is_taxable, created_at, updated_at, deleted_at)
SELECT i, invoices.account_id, invoice_id, i - ${firstOfInvoice},
  ${oneOf(DESCRIPTIONS, pick('description', DESCRIPTIONS.length))},
  trim_scale((1 + ${pick('quantity', 4_000)})::numeric / (ARRAY[1, 4, 1000])[1 + ${pick('term', 3)}]),
  ${pick('amount', 100_000)}::numeric / 100,
  ${pick('taxRate', 10)} > 0,
  invoices.created_at, invoices.updated_at,
  CASE WHEN ${pick('isDeleted', 100)} = 0 THEN invoices.updated_at ELSE invoices.deleted_at END
FROM generate_series(1::bigint, ${plan.lineItems}) AS i
CROSS JOIN LATERAL (SELECT ${invoice} AS invoice_id) a
JOIN documint.invoices ON invoices.id = invoice_id
ORDER BY i`;
}
