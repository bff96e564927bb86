import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type Customer, openWorld } from '../../deploy/demo/world.ts';
import { accountPartition } from '../../shared/domain/account-partition.ts';
import type { BenchOptions } from './bench-exports.ts';
import { openBenchReceiver } from './bench-receiver.ts';
import { machineLoad } from './machine-load.ts';
import { startMeter, usageLines } from './usage-table.ts';

const ROWS = 50_000;
const RUNS = 3;

/** As topics are declared. */
const PARTITIONS = 12;

/** Enough for two of them to share a partition. */
const ACCOUNTS = 30;

const POLL_MS = 10;
const LIMIT_MS = 120_000;

const INSERT = `insert into documint.customers (account_id, name, email, country, address)
  select $1, 'n', 'n@example.com', 'DE', '{}' from generate_series(1, $2::int)`;

/**
 * A large transaction of one account, and right after it one row of another that shares its partition: when the one row's event
 * is through capture, in the log and at its endpoint, beside when the large transaction is. First with nobody who listens to
 * the large one, then with a webhook endpoint of its account.
 */
export async function benchLargeTransaction({ say, ...options }: BenchOptions): Promise<void> {
  await using world = await openWorld({
    stack: options.stack,
    directory: options.directory,
    rows: 2_000,
    accounts: ACCOUNTS,
    services: { api: 1, capture: 1, dispatcher: options.copies },
    log: options.log,
  });
  await using cleanup = new AsyncDisposableStack();
  const source = new pg.Pool({ connectionString: world.sourceUrl, max: 2 });
  const control = new pg.Pool({
    connectionString: world.controlUrl,
    max: 2,
    options: '-c search_path=tandem',
  });
  cleanup.defer(() => source.end());
  cleanup.defer(() => control.end());
  const receiver = cleanup.use(await openBenchReceiver());
  const other = cleanup.use(await openBenchReceiver());
  const [largeId = '', smallId = ''] = sharingAPartition(world.generated.accounts);
  const large = await world.createCustomer(largeId);
  const small = await world.createCustomer(smallId);
  const subscribe = ({ client }: Customer, url: string) => client.call('POST', '/webhooks', { url });
  await subscribe(small, `${receiver.url}/small`);

  const recorded = async ({ id }: Customer): Promise<number> => {
    const { rows } = await control.query<{ count: number }>(
      'select count(*)::int as count from events where account_id = $1',
      [id],
    );
    return rows[0]?.count ?? 0;
  };
  const isPublished = async (lsn: string): Promise<boolean> => {
    const { rows } = await control.query<{ is: boolean }>(
      'select passed_lsn >= $1::pg_lsn as is from feed_state',
      [lsn],
    );
    return rows[0]?.is === true;
  };
  let largeCount = 0;
  let smallCount = 0;

  const run = async (what: string): Promise<void> => {
    receiver.reset();
    const meter = startMeter(world.services, options.parts);
    await source.query(INSERT, [largeId, ROWS]);
    const startedMs = performance.now();
    await source.query(INSERT, [smallId, 1]);
    const { rows } = await source.query<{ lsn: string }>('select pg_current_wal_insert_lsn() as lsn');
    const lsn = rows[0]?.lsn ?? '';
    largeCount += ROWS;
    smallCount += 1;
    const took = async (isDone: () => boolean | Promise<boolean>) => {
      while (!(await isDone())) {
        if (performance.now() - startedMs > LIMIT_MS) return Number.POSITIVE_INFINITY;
        await delay(POLL_MS);
      }
      return (performance.now() - startedMs) / 1_000;
    };
    const [published, inLog, received, all] = await Promise.all([
      took(() => isPublished(lsn)),
      took(async () => (await recorded(small)) >= smallCount),
      took(() => receiver.receivedMs.length > 0),
      took(async () => (await recorded(large)) >= largeCount),
    ]);
    const usage = meter.stop();
    say(
      `${what}: the one row is through capture after ${published.toFixed(2)} s, in the log after ${inLog.toFixed(2)} s, ` +
        `received after ${received.toFixed(2)} s; the ${ROWS} rows are in the log after ${all.toFixed(2)} s; ${machineLoad()}`,
    );
    for (const line of usageLines(usage, ROWS)) say(line);
  };

  for (let n = 0; n < RUNS; n += 1) await run('beside a large transaction that nobody listens to');
  await subscribe(large, `${other.url}/large`);
  for (let n = 0; n < RUNS; n += 1) {
    other.reset();
    await run('beside a large transaction with a webhook');
    const deadlineMs = performance.now() + LIMIT_MS;
    while (other.receivedMs.length < ROWS && performance.now() < deadlineMs) await delay(POLL_MS);
  }
}

function sharingAPartition(accounts: readonly string[]): readonly string[] {
  const groups = Map.groupBy(accounts, (account) => accountPartition(account, PARTITIONS));
  return [...groups.values()].find(({ length }) => length > 1) ?? [];
}
