import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { openWorld, type World } from '../../deploy/demo/world.ts';
import type { BenchOptions } from './bench-exports.ts';
import { timedExport } from './bench-small-exports.ts';
import { machineLoad } from './machine-load.ts';
import { manyTables } from './many-tables.ts';
import { readTreeMemory } from './process-usage.ts';
import { startMeter } from './usage-table.ts';

const RESOURCES = 65;
const ROWS_EACH = 1_000;
/** Accounts and endpoints of each. */
const ACCOUNTS = 4;
const ENDPOINTS_EACH = 50;
const SECONDS = 40;

/** At rest: this long takes no less CPU than as long before. */
const WINDOW_SECONDS = 5;
const AT_REST_SHARE = 0.95;
const MAX_WINDOWS = 24;

const SERVICES = { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1, bulk: 1 };

/**
 * What everything costs while nothing happens, with the resources of a whole product, and then with endpoints besides. CPU
 * time says the same on a busy machine; the time of the first export after the start does not.
 */
export async function benchIdle(options: BenchOptions): Promise<void> {
  const { say, stack, directory, log } = options;
  const product = await manyTables(directory, RESOURCES);
  await using world = await openWorld({
    stack,
    directory,
    product,
    rows: ROWS_EACH,
    accounts: 1,
    services: SERVICES,
    log,
  });
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  const { seconds } = await timedExport(customer, { resource: product.mainResource });
  say(`first export after the start, ${ROWS_EACH} rows: ${Math.round(seconds * 1_000)} ms; ${machineLoad()}`);
  await untilAtRest(world, options);
  await measure(`${RESOURCES} resources`, world, options);
  for (let account = 0; account < ACCOUNTS; account += 1) {
    const { client } = await world.createCustomer(`idle_${account}`);
    for (let index = 0; index < ENDPOINTS_EACH; index += 1) {
      // Nothing listens there, and nothing is sent.
      await client.call('POST', '/webhooks', { url: `http://127.0.0.1:9/${index}` });
    }
  }
  await untilAtRest(world, options);
  await measure(`${RESOURCES} resources and ${ACCOUNTS * ENDPOINTS_EACH} endpoints`, world, options);
}

async function untilAtRest(world: World, { parts }: BenchOptions): Promise<void> {
  let before = Number.POSITIVE_INFINITY;
  for (let window = 0; window < MAX_WINDOWS; window += 1) {
    const meter = startMeter(world.services, parts);
    await delay(WINDOW_SECONDS * 1_000);
    const spent = sum([...meter.stop().values()].map(({ cpuSeconds }) => cpuSeconds));
    if (spent >= before * AT_REST_SHARE) return;
    before = spent;
  }
}

async function measure(what: string, world: World, { parts, say }: BenchOptions): Promise<void> {
  const source = new pg.Client({ connectionString: world.sourceUrl });
  await source.connect();
  try {
    const before = await readTransactions(source);
    const meter = startMeter(world.services, parts);
    await delay(SECONDS * 1_000);
    const usage = meter.stop();
    const transactions = ((await readTransactions(source)) - before) / SECONDS;
    say(`${what}, ${SECONDS} s at rest: ${transactions.toFixed(1)} transactions/s; ${machineLoad()}`);
    const share = (names: readonly string[]) =>
      (100 * sum(names.map((name) => usage.get(name)?.cpuSeconds ?? 0))) / SECONDS;
    const memory = (names: readonly string[]) =>
      sum(names.map((name) => readTreeMemory(parts[name] ?? pidOf(world, name)))) / 2 ** 20;
    const line = (name: string, names: readonly string[]) =>
      say(
        `    ${name.padEnd(14)} ${share(names).toFixed(2).padStart(6)} % of a core  ${Math.round(memory(names))} MB`,
      );
    for (const name of usage.keys()) line(name, [name]);
    line('services', Object.keys(SERVICES));
    line('all', [...usage.keys()]);
  } finally {
    await source.end();
  }
}

function pidOf(world: World, name: string): number {
  return world.services.pids(name as keyof typeof SERVICES)[0] ?? 0;
}

/** Of the whole server, so of the source and of the control store. */
async function readTransactions(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ count: string }>(
    'select sum(xact_commit)::text as count from pg_stat_database',
  );
  return Number(rows[0]?.count ?? 0);
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
