import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { seededRandom } from './random.ts';

export interface TrafficOptions {
  databaseUrl: string;
  /** Values of `account_id` that are written to. */
  accounts: readonly string[];
  /** Transactions a second, over all connections. */
  perSecond: number;
  connections: number;
  seed: number;
}

export interface TrafficCounts {
  commits: number;
  rollbacks: number;
  savepoints: number;
  /** Transactions that the source refused or broke off, as when it restarts; they are not counted as anything else. */
  failures: number;
}

export interface Traffic {
  readonly counts: Readonly<TrafficCounts>;
  /** Begins a transaction that stays open, with a write in it and one behind a savepoint, until its `commit`. */
  openTransaction(): Promise<{ commit(): Promise<void> }>;
  /** Ends after the transactions in hand. Safe to call twice. */
  stop(): Promise<TrafficCounts>;
}

type Work = (
  client: pg.ClientBase,
  context: { account: string; random: () => number },
) => Promise<'commit' | 'rollback'>;

/**
 * The product at work on DocuMint's tables: inserts, updates, soft and hard deletes, several rows at once,
 * savepoints that are kept or rolled back, and whole transactions that are.
 */
export async function startTraffic(options: TrafficOptions): Promise<Traffic> {
  const pool = new pg.Pool({ connectionString: options.databaseUrl, max: options.connections + 1 });
  pool.on('error', () => undefined);
  // One in use reports here that the source is gone, beside the failure of its query.
  pool.on('connect', (client) => client.on('error', () => undefined));
  const counts: TrafficCounts = { commits: 0, rollbacks: 0, savepoints: 0, failures: 0 };
  const stop = new AbortController();
  const intervalMs = (1000 * options.connections) / options.perSecond;
  const runConnection = async (index: number) => {
    const random = seededRandom(options.seed * 1000 + index);
    let dueMs = Date.now();
    while (!stop.signal.aborted) {
      await runTransaction(pool, options.accounts, random, counts);
      dueMs = Math.max(dueMs + intervalMs, Date.now() - 1000);
      const waitMs = dueMs - Date.now();
      if (waitMs > 0) await delay(waitMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  };
  const running = Promise.all(
    Array.from({ length: options.connections }, (_, index) => runConnection(index)),
  );
  let stopped: Promise<TrafficCounts> | undefined;
  return {
    counts,
    openTransaction: () => openTransaction(pool, options.accounts[0] ?? ''),
    stop() {
      stopped ??= (async () => {
        stop.abort();
        await running;
        await pool.end();
        return counts;
      })();
      return stopped;
    },
  };
}

async function runTransaction(
  pool: pg.Pool,
  accounts: readonly string[],
  random: () => number,
  counts: TrafficCounts,
): Promise<void> {
  const account = accounts[Math.floor(random() ** 2 * accounts.length)] ?? '';
  const work = pickWork(random());
  let client: pg.PoolClient | undefined;
  try {
    client = await pool.connect();
    await client.query('begin');
    const end = await work(client, { account, random });
    if (work === withSavepoint || work === withRolledBackSavepoint) counts.savepoints += 1;
    await client.query(end);
    counts[end === 'commit' ? 'commits' : 'rollbacks'] += 1;
    client.release();
  } catch {
    // A deadlock, or a source that restarts: the product would try again, and so does the next turn.
    counts.failures += 1;
    client?.release(true);
    await delay(50);
  }
}

async function openTransaction(pool: pg.Pool, account: string): Promise<{ commit(): Promise<void> }> {
  const client = await pool.connect();
  await client.query('begin');
  await insertInvoice(client, account, 'written before the snapshot, committed after it');
  await client.query('savepoint s');
  await insertInvoice(client, account, 'the same, behind a savepoint');
  await client.query('release savepoint s');
  return {
    async commit() {
      await client.query('commit');
      client.release();
    },
  };
}

function pickWork(roll: number): Work {
  let rest = roll * WORK.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, work] of WORK) {
    rest -= weight;
    if (rest < 0) return work;
  }
  return updateInvoice;
}

const updateInvoice: Work = async (client, { account, random }) => {
  await client.query(
    `update documint.invoices set total = total + 1, memo = $3, status = $4
      where id = (${NEAR_ID}) and account_id = $1`,
    [account, random(), `touched ✓ ${Math.floor(random() * 1e9)}`, random() < 0.5 ? 'open' : 'paid'],
  );
  return 'commit';
};

const createInvoice: Work = async (client, { account, random }) => {
  const invoiceId = await insertInvoice(
    client,
    account,
    `new "${Math.floor(random() * 1e9)}"\nwith a line break`,
  );
  await client.query(
    `insert into documint.line_items (account_id, invoice_id, position, description, quantity, unit_price)
      select $1, $2, n, 'item ' || n, n * 1.5, 9.99 from generate_series(1, $3::int) n`,
    [account, invoiceId, 1 + Math.floor(random() * 3)],
  );
  // Twice in one transaction, so that the index within it decides.
  if (random() < 0.3) {
    await client.query(`update documint.invoices set status = 'paid' where id = $1`, [invoiceId]);
  }
  return 'commit';
};

const softDelete: Work = async (client, { account, random }) => {
  await client.query(
    `update documint.invoices set deleted_at = case when deleted_at is null then now() end
      where id = (${NEAR_ID}) and account_id = $1`,
    [account, random()],
  );
  return 'commit';
};

const hardDelete: Work = async (client, { account, random }) => {
  const { rows } = await client.query<{ id: string }>(`${NEAR_ID} for update`, [account, random()]);
  const id = rows[0]?.id;
  if (id === undefined) return 'rollback';
  await client.query('delete from documint.line_items where invoice_id = $1', [id]);
  await client.query('delete from documint.invoices where id = $1', [id]);
  return 'commit';
};

const updateSeveral: Work = async (client, { account, random }) => {
  await client.query(
    `update documint.invoices set memo = 'several at once' where id in (
       select id from documint.invoices where account_id = $1 and id >= (${NEAR_ID}) order by id limit 12 for update)`,
    [account, random()],
  );
  return 'commit';
};

const withSavepoint: Work = async (client, context) => {
  await updateInvoice(client, context);
  await client.query('savepoint s');
  await createInvoice(client, context);
  await client.query('release savepoint s');
  return 'commit';
};

const withRolledBackSavepoint: Work = async (client, context) => {
  await createInvoice(client, context);
  await client.query('savepoint s');
  await updateInvoice(client, context);
  await client.query('rollback to savepoint s');
  return 'commit';
};

const rolledBack: Work = async (client, context) => {
  await createInvoice(client, context);
  await updateInvoice(client, context);
  return 'rollback';
};

const WORK: readonly (readonly [weight: number, work: Work])[] = [
  [40, updateInvoice],
  [20, createInvoice],
  [8, softDelete],
  [8, hardDelete],
  [4, updateSeveral],
  [7, withSavepoint],
  [7, withRolledBackSavepoint],
  [6, rolledBack],
];

/** The account's invoice nearest above a random place in the table; `$1` account, `$2` place in [0, 1). */
const NEAR_ID = `select id from documint.invoices
  where account_id = $1 and id >= (select (max(id) * $2::float8)::bigint from documint.invoices)
  order by id limit 1`;

async function insertInvoice(client: pg.ClientBase, account: string, memo: string): Promise<string> {
  const { rows } = await client.query<{ id: string }>(
    `insert into documint.invoices
       (account_id, customer_id, status, currency, tax, total, issued_on, memo, metadata, internal_notes)
     select $1, (select min(id) from documint.customers where account_id = $1), 'draft', 'EUR', 1.90, 11.90,
            current_date, $2, '{"big": 9007199254740993, "exact": 1.10}', 'never leaves'
     returning id`,
    [account, memo],
  );
  const id = rows[0]?.id;
  if (id === undefined) throw new Error('the insert returned no row');
  return id;
}
