import { parseCatalog } from '../../shared/catalog/load-catalog.ts';
import { accountPartition } from '../../shared/domain/account-partition.ts';
import { type CaptureWorld, createCaptureWorld } from './capture-world.ts';
import { waitFor } from './wait-for.ts';

const SCHEMA = `
  create schema app;
  create table app.customers (id bigint primary key, account_id text, name text not null default 'n');
  create table app.invoices (id bigint primary key, total int,
    customer_id bigint references app.customers on delete cascade deferrable initially immediate);
  create table app.lines (id bigint primary key, invoice_id bigint not null references app.invoices on delete cascade deferrable, body text);
  create table app.shops (id bigint primary key, account_id text) partition by hash (id);
  create table app.shops_0 partition of app.shops for values with (modulus 1, remainder 0);
  create table app.orders (id bigint primary key, shop_id bigint references app.shops);
  create table app.comments (id bigint primary key, of_type char(10), of_id int, body text);
  create table app.visits (id bigint, day int, customer_id bigint, primary key (id, day)) partition by list (day);
  create table app.visits_1 partition of app.visits for values in (1);
  create table app.visits_2 partition of app.visits for values in (2);
  insert into app.shops values (1, 'globex');
  insert into app.customers values (1, 'acme'), (2, 'globex'), (3, 'acme'), (4, null);
  insert into app.invoices values (10, 5, 1), (20, 5, 2), (40, 5, 4);
  insert into app.lines values (100, 10, 'old'), (200, 20, 'old');
`;

const CATALOG = `
catalog: parents
resources:
  customers: { table: app.customers, event: customer, key: [id], account: account_id }
  invoices: { table: app.invoices, event: invoice, key: [id], account: { via: customer_id } }
  lines: { table: app.lines, event: line, key: [id], account: { via: [invoice_id, customer_id] } }
  shops: { table: app.shops, event: shop, key: [id], account: account_id }
  orders: { table: app.orders, event: order, key: [id], account: { via: shop_id } }
  visits: { table: app.visits, event: visit, key: [id, day], account: { via: customer_id } }
  comments:
    table: app.comments
    event: comment
    key: [id]
    account: { via: of_id, by: of_type, to: { Order: orders, Customer: customers } }
`;

export const PARENTS_CATALOG = parseCatalog(CATALOG, 'parents.yaml');

/** Those that `SCHEMA` has, for a test that drops them for a while. */
export const FOREIGN_KEYS = [
  `alter table app.invoices add constraint invoices_customer_id_fkey foreign key (customer_id)
     references app.customers on delete cascade deferrable initially immediate`,
  `alter table app.lines add constraint lines_invoice_id_fkey foreign key (invoice_id)
     references app.invoices on delete cascade deferrable`,
];

export const DROP_FOREIGN_KEYS = `alter table app.invoices drop constraint invoices_customer_id_fkey;
  alter table app.lines drop constraint lines_invoice_id_fkey`;

/** One account of each partition of the topic. */
const MARKERS = Array.from({ length: 12 }, (_, partition) => {
  for (let number = 0; ; number += 1) {
    const account = `marker${number}`;
    if (accountPartition(account, 12) === partition) return account;
  }
});
const FIRST_MARKER = 1_000_000;

export const isMarker = (id: string | null | undefined) => Number(id) >= FIRST_MARKER;

/** Capture of a product whose records have the account of others. */
export interface ParentsWorld extends AsyncDisposable {
  readonly capture: CaptureWorld;
  /** Until all that was committed before has come by, on every partition. */
  passAll(): Promise<void>;
  /** Until capture knows the accounts of all parents. */
  start(env?: Record<string, string>): Promise<void>;
  /** What is told of a transaction, and of it alone. */
  toldOf(statements: string): Promise<string[]>;
  /** Of the routes; 0 while there are none. */
  generation(): Promise<number>;
}

export async function createParentsWorld(): Promise<ParentsWorld> {
  const capture = await createCaptureWorld({ schemaSql: SCHEMA, catalog: CATALOG });
  let nextMarker = FIRST_MARKER;
  const passAll = async () => {
    const first = nextMarker;
    const rows = MARKERS.map((account) => `(${nextMarker++}, '${account}')`);
    await capture.pool.query(`insert into app.customers values ${rows.join(', ')}`);
    await waitFor(`the markers from ${first}`, () => {
      const seen = new Set(capture.reader.changes.map(({ after }) => Number(after?.id)));
      return MARKERS.every((_, at) => seen.has(first + at));
    });
  };
  return {
    capture,
    passAll,
    async start(env = {}) {
      await capture.start(env);
      await waitFor('the routes', async () => {
        const { rows } = await capture.pool.query(
          'select from tandem.route_state where fingerprint is not null',
        );
        return rows.length === 1;
      });
      // Behind what the routes' beginning tells.
      await passAll();
    },
    async toldOf(statements) {
      const from = capture.reader.changes.length;
      await capture.pool.query(`begin; ${statements}; commit`);
      await passAll();
      return capture.reader.changes
        .slice(from)
        .filter(({ after, partition, op }) => !isMarker(after?.id) && (op !== 'truncate' || partition === 0))
        .toSorted((a, b) => a.index - b.index)
        .map(({ op, account, resource, before, after, resetReason }) =>
          op === 'truncate'
            ? `${resetReason} ${resource} ${account}`
            : `${op} ${resource} ${after?.id ?? before?.id} ${account || '-'}`,
        );
    },
    async generation() {
      const { rows } = await capture.pool.query<{ generation: string }>(
        'select generation::text from tandem.route_state where fingerprint is not null',
      );
      return Number(rows[0]?.generation ?? 0);
    },
    [Symbol.asyncDispose]: () => capture[Symbol.asyncDispose](),
  };
}
