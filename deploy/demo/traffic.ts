import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { DOCUMINT_WORK, type ProductWork } from './product-stories.ts';
import { seededRandom } from './random.ts';

export interface TrafficOptions {
  databaseUrl: string;
  /** Values of `account_id` that are written to. */
  accounts: readonly string[];
  /** Transactions a second, over all connections. */
  perSecond: number;
  connections: number;
  seed: number;
  /** By default DocuMint's. */
  work?: ProductWork;
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

interface Turn {
  readonly account: string;
  readonly random: () => number;
  readonly sql: ProductWork;
}

type Work = (client: pg.ClientBase, turn: Turn) => Promise<'commit' | 'rollback'>;

/**
 * The product at work on its tables: inserts, updates, soft and hard deletes, several rows at once,
 * savepoints that are kept or rolled back, and whole transactions that are.
 */
export async function startTraffic(options: TrafficOptions): Promise<Traffic> {
  const pool = new pg.Pool({ connectionString: options.databaseUrl, max: options.connections + 1 });
  pool.on('error', () => undefined);
  // One in use reports here that the source is gone, beside the failure of its query.
  pool.on('connect', (client) => client.on('error', () => undefined));
  const counts: TrafficCounts = { commits: 0, rollbacks: 0, savepoints: 0, failures: 0 };
  const held = new Set<pg.PoolClient>();
  const stop = new AbortController();
  const sql = options.work ?? DOCUMINT_WORK;
  const intervalMs = (1000 * options.connections) / options.perSecond;
  const runConnection = async (index: number) => {
    const random = seededRandom(options.seed * 1000 + index);
    let dueMs = Date.now();
    while (!stop.signal.aborted) {
      await runTransaction(pool, { accounts: options.accounts, sql }, random, counts);
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
    openTransaction: () => openTransaction(pool, held, options.accounts[0] ?? '', sql),
    stop() {
      stopped ??= (async () => {
        stop.abort();
        await running;
        // One that was left open, because its owner failed, would be waited for without end.
        for (const client of held) client.release(true);
        await pool.end();
        return counts;
      })();
      return stopped;
    },
  };
}

async function runTransaction(
  pool: pg.Pool,
  { accounts, sql }: { accounts: readonly string[]; sql: ProductWork },
  random: () => number,
  counts: TrafficCounts,
): Promise<void> {
  const account = accounts[Math.floor(random() ** 2 * accounts.length)] ?? '';
  const work = pickWork(random());
  let client: pg.PoolClient | undefined;
  try {
    client = await pool.connect();
    await client.query('begin');
    const end = await work(client, { account, random, sql });
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

async function openTransaction(
  pool: pg.Pool,
  held: Set<pg.PoolClient>,
  account: string,
  sql: ProductWork,
): Promise<{ commit(): Promise<void> }> {
  const client = await pool.connect();
  held.add(client);
  await client.query('begin');
  await insert(client, account, sql, 'written before the snapshot, committed after it');
  await client.query('savepoint s');
  await insert(client, account, sql, 'the same, behind a savepoint');
  await client.query('release savepoint s');
  return {
    async commit() {
      await client.query('commit');
      held.delete(client);
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
  return touch;
}

const touch: Work = async (client, { account, random, sql }) => {
  await run(client, `update ${sql.table} set ${sql.touch} where id = (${sql.near}) and account_id = $1`, [
    account,
    random(),
    `touched ✓ ${Math.floor(random() * 1e9)}`,
    random() < 0.5,
  ]);
  return 'commit';
};

const create: Work = async (client, { account, random, sql }) => {
  const id = await insert(client, account, sql, `new "${Math.floor(random() * 1e9)}"\nwith a line break`);
  await run(client, sql.insertChildren, [account, id, 1 + Math.floor(random() * 3)]);
  // Twice in one transaction, so that the index within it decides.
  if (random() < 0.3) await run(client, `update ${sql.table} set ${sql.settle} where id = $1`, [id]);
  return 'commit';
};

const softDelete: Work = async (client, { account, random, sql }) => {
  await run(
    client,
    `update ${sql.table} set deleted_at = case when deleted_at is null then now() end
      where id = (${sql.near}) and account_id = $1`,
    [account, random()],
  );
  return 'commit';
};

const hardDelete: Work = async (client, { account, random, sql }) => {
  const { rows } = await run<{ id: string }>(client, `${sql.near} for update`, [account, random()]);
  const id = rows[0]?.id;
  if (id === undefined) return 'rollback';
  await run(client, sql.deleteChildren, [id]);
  await run(client, `delete from ${sql.table} where id = $1`, [id]);
  return 'commit';
};

const updateSeveral: Work = async (client, { account, random, sql }) => {
  await run(
    client,
    `update ${sql.table} set ${sql.mark} where id in (
       select id from ${sql.table} where account_id = $1 and id >= (${sql.near}) order by id limit 12 for update)`,
    [account, random()],
  );
  return 'commit';
};

const withSavepoint: Work = async (client, turn) => {
  await touch(client, turn);
  await client.query('savepoint s');
  await create(client, turn);
  await client.query('release savepoint s');
  return 'commit';
};

const withRolledBackSavepoint: Work = async (client, turn) => {
  await create(client, turn);
  await client.query('savepoint s');
  await touch(client, turn);
  await client.query('rollback to savepoint s');
  return 'commit';
};

const rolledBack: Work = async (client, turn) => {
  await create(client, turn);
  await touch(client, turn);
  return 'rollback';
};

const WORK: readonly (readonly [weight: number, work: Work])[] = [
  [40, touch],
  [20, create],
  [8, softDelete],
  [8, hardDelete],
  [4, updateSeveral],
  [7, withSavepoint],
  [7, withRolledBackSavepoint],
  [6, rolledBack],
];

async function insert(
  client: pg.ClientBase,
  account: string,
  sql: ProductWork,
  text: string,
): Promise<string> {
  const { rows } = await run<{ id: string }>(client, sql.insert, [account, text]);
  const id = rows[0]?.id;
  if (id === undefined) throw new Error('the insert returned no row');
  return id;
}

const NAMES = new Map<string, string>();

/**
 * Runs a statement that the session prepares once, as most drivers do. To plan each of them again takes twice as much of the
 * source's CPU, beside which an export and the feed look slow.
 */
function run<R extends pg.QueryResultRow>(
  client: pg.ClientBase,
  text: string,
  values: readonly unknown[],
): Promise<pg.QueryResult<R>> {
  const name = NAMES.get(text) ?? `traffic_${NAMES.size + 1}`;
  NAMES.set(text, name);
  return client.query<R>({ name, text, values: [...values] });
}
