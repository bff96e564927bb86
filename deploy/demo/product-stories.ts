import { CRONPING, DOCUMINT, FLAGBIT, WEBHOOKVAULT } from '../samples/products.ts';
import type { SampleProduct } from '../samples/sample-plan.ts';

/**
 * What a product does to the records that its customers mean, in SQL. They have a key `id`, `account_id` and `deleted_at`, and
 * children that go with them.
 */
export interface ProductWork {
  readonly table: string;
  /** The key of the account's record nearest above a place among them all; `$1` account, `$2` place in [0, 1). */
  readonly near: string;
  /** Assignments of an everyday change; `$3` text, `$4` boolean. */
  readonly touch: string;
  /** Assignments of a second change in the transaction that made the record. */
  readonly settle: string;
  /** Assignments of a change of several records at once. */
  readonly mark: string;
  /** `$1` account, `$2` text; returns the `id`. */
  readonly insert: string;
  /** `$1` account, `$2` id of the record, `$3` number of children. */
  readonly insertChildren: string;
  /** `$1` id of the record. */
  readonly deleteChildren: string;
}

/** Numbers that a reader which goes through a float would change. */
const EXACT_JSON = `'{"big": 9007199254740993, "exact": 1.10}'`;

export const DOCUMINT_WORK: ProductWork = {
  table: 'documint.invoices',
  near: nearNumber('documint.invoices'),
  touch: `total = total + 1, memo = $3,
    status = (case when $4 then 'open' else 'paid' end)::documint.invoice_status`,
  settle: `status = 'paid'`,
  mark: `memo = 'several at once'`,
  insert: `insert into documint.invoices
      (account_id, customer_id, status, currency, tax, total, issued_on, memo, metadata, internal_notes)
    select $1, (select min(id) from documint.customers where account_id = $1), 'draft', 'EUR', 1.90, 11.90,
           current_date, $2, ${EXACT_JSON}, 'never leaves'
    returning id`,
  insertChildren: `insert into documint.line_items (account_id, invoice_id, position, description, quantity, unit_price)
    select $1, $2, n, 'item ' || n, n * 1.5, 9.99 from generate_series(1, $3::int) n`,
  deleteChildren: 'delete from documint.line_items where invoice_id = $1',
};

const CRONPING_WORK: ProductWork = {
  table: 'cronping.monitors',
  near: nearNumber('cronping.monitors'),
  touch: `name = $3, last_ping_at = now(),
    status = (case when $4 then 'up' else 'late' end)::cronping.monitor_status`,
  settle: `status = 'up'`,
  mark: `tags = array['several', 'at "once"']`,
  insert: `insert into cronping.monitors (account_id, status_page_id, name, schedule, grace, alerts)
    select $1, (select min(id) from cronping.status_pages where account_id = $1), $2, '*/5 * * * *', '90 seconds', ${EXACT_JSON}
    returning id`,
  insertChildren: `insert into cronping.incidents (account_id, monitor_id, kind, exit_code, output)
    select $1, $2, 'failed', n, 'line ' || n from generate_series(1, $3::int) n`,
  deleteChildren: 'delete from cronping.incidents where monitor_id = $1',
};

const FLAGBIT_WORK: ProductWork = {
  table: 'flagbit.flags',
  near: `select id from flagbit.flags
    where account_id = $1
      and id >= (lpad(to_hex(($2::float8 * 4294967295)::bigint), 8, '0') || '-0000-0000-0000-000000000000')::uuid
    order by id limit 1`,
  touch: `description = $3, rollout_percentage = case when $4 then 100 else 12.5 end`,
  settle: `is_enabled = true`,
  mark: `tags = array['several', 'at "once"']`,
  insert: `insert into flagbit.flags (account_id, project_id, environment, key, description, variations)
    select $1, (select min(id) from flagbit.projects where account_id = $1), 'staging', 'flag-' || gen_random_uuid(), $2, ${EXACT_JSON}
    returning id`,
  insertChildren: `insert into flagbit.targeting_rules (account_id, flag_id, position, attribute, operator, operands)
    select $1, $2, n, 'country', 'is_one_of', array['DE', 'rule ' || n] from generate_series(1, $3::int) n`,
  deleteChildren: 'delete from flagbit.targeting_rules where flag_id = $1',
};

const WEBHOOKVAULT_WORK: ProductWork = {
  table: 'webhookvault.endpoints',
  near: `select id from webhookvault.endpoints
    where account_id = $1 and id >= 'ep_' || lpad(to_hex(($2::float8 * 4294967295)::bigint), 8, '0')
    order by id limit 1`,
  touch: `name = $3, max_body_bytes = case when $4 then 65536 else 5368709120 end`,
  settle: `is_enabled = false`,
  mark: `allowed_networks = '{203.0.113.0/24,2001:db8::/32}'`,
  insert: `insert into webhookvault.endpoints (account_id, source_id, name, response)
    select $1, (select min(id) from webhookvault.sources where account_id = $1), $2, ${EXACT_JSON}
    returning id`,
  insertChildren: `insert into webhookvault.captured_requests (account_id, endpoint_id, method, path, headers, body, source_address)
    select $1, $2, 'POST', '/hooks/' || n, '{"x-attempt": 1}', '\\x00ff'::bytea, '203.0.113.9' from generate_series(1, $3::int) n`,
  deleteChildren: 'delete from webhookvault.captured_requests where endpoint_id = $1',
};

function nearNumber(table: string): string {
  return `select id from ${table}
    where account_id = $1 and id >= (select (max(id) * $2::float8)::bigint from ${table})
    order by id limit 1`;
}

/** A bulk operation on the product's main resource, as a request's body says it. */
export interface BulkRequest {
  readonly operation: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

/** What a demo tells of a product. */
export interface ProductStory {
  readonly product: SampleProduct;
  readonly work: ProductWork;
  /** Asked for as a job. */
  readonly job: BulkRequest & { readonly filter: Readonly<Record<string, unknown>> };
  /** Asked for at once, for as many records as the catalog lets through in one request. */
  readonly atOnce: BulkRequest;
}

export const STORIES: readonly [ProductStory, ...ProductStory[]] = [
  {
    product: DOCUMINT,
    work: DOCUMINT_WORK,
    job: { operation: 'void', filter: { status: { eq: 'draft' } } },
    atOnce: { operation: 'update', params: { memo: 'checked in bulk ✓' } },
  },
  {
    product: CRONPING,
    work: CRONPING_WORK,
    job: { operation: 'pause', filter: { status: { in: ['late', 'down'] } } },
    atOnce: { operation: 'resume' },
  },
  {
    product: FLAGBIT,
    work: FLAGBIT_WORK,
    job: { operation: 'turn_off', filter: { environment: { eq: 'staging' } } },
    atOnce: { operation: 'set_rollout', params: { rollout_percentage: '12.50' } },
  },
  {
    product: WEBHOOKVAULT,
    work: WEBHOOKVAULT_WORK,
    job: {
      operation: 'configure',
      params: { retention_days: 14 },
      filter: { retention_days: { gte: 90 } },
    },
    atOnce: { operation: 'configure', params: { allowed_networks: ['203.0.113.0/24'] } },
  },
];
