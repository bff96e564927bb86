import pg from 'pg';
import { openWorld, type World, type WorldOptions } from '../../deploy/demo/world.ts';
import { benchSmallExports, timedExport } from './bench-small-exports.ts';
import { machineLoad } from './machine-load.ts';
import { startMeter, usageLines } from './usage-table.ts';

export interface BenchOptions {
  stack: WorldOptions['stack'];
  /** PIDs of the stack's own processes, for their share of the work. */
  parts: Readonly<Record<string, number>>;
  directory: string;
  rows: number;
  copies: number;
  /** Webhook endpoints, and bulk jobs, of the benchmarks that are about many of them. */
  endpoints: number;
  jobs: number;
  /** Length of a phase of the mixed load, at least. */
  seconds: number;
  log: WorldOptions['log'];
  say(line: string): void;
}

const EXPORT_LIMIT_MS = 600_000;

const SMALL_ACCOUNTS = 10;
const SMALL_ACCOUNT_ROWS = 1_000;

/**
 * `POST /exports` to `completed` of all invoices of one account, beside what PostgreSQL alone needs to print them; and what
 * small accounts of the same product see.
 */
export async function benchExports(options: BenchOptions): Promise<void> {
  const { say } = options;
  await using world = await openExportWorld(options, { accounts: SMALL_ACCOUNTS, rows: SMALL_ACCOUNT_ROWS });
  const [main = '', ...small] = world.generated.accounts;
  await benchSmallExports(world, small, say);
  const customer = await world.createCustomer(main);
  const first = await timedExport(customer, { resource: 'customers' });
  say(`first export of an account (${first.view.files?.[0]?.rows} customers): ${first.seconds.toFixed(2)} s`);
  await benchCopy(world, options);
  for (const run of [1, 2, 3]) {
    const meter = startMeter(world.services, options.parts);
    const { view, seconds } = await timedExport(
      customer,
      { resource: 'invoices', include_deleted: true },
      EXPORT_LIMIT_MS,
    );
    const usage = meter.stop();
    const file = view.files?.[0];
    const exported = file?.rows ?? 0;
    say(
      `export ${run}: ${exported} invoices of ${Math.round((file?.bytes ?? 0) / Math.max(exported, 1))} bytes in ` +
        `${seconds.toFixed(2)} s, ${Math.round(exported / seconds)} rows/s; ${machineLoad()}`,
    );
    for (const line of usageLines(usage, exported)) say(line);
  }
}

/** A product of one account with all rows and several small ones, and what an export needs. */
export function openExportWorld(
  { rows, copies, ...options }: BenchOptions,
  small: { readonly accounts: number; readonly rows: number },
): Promise<World> {
  const allRows = rows + small.accounts * small.rows;
  return openWorld({
    stack: options.stack,
    directory: options.directory,
    rows: allRows,
    accounts: 1 + small.accounts,
    mainAccountShare: rows / allRows,
    services: { api: 1, extractor: copies, writer: copies, capture: 1, dispatcher: 1 },
    log: options.log,
  });
}

/** The limit: one session that reads, sorts and prints the same rows as JSON, and a client that throws them away. */
async function benchCopy(world: World, { parts, say }: BenchOptions): Promise<void> {
  const client = new pg.Client({ connectionString: world.sourceUrl });
  await client.connect();
  try {
    const meter = startMeter(world.services, parts);
    const before = process.cpuUsage();
    const startedMs = performance.now();
    const { rowCount } = await client.query(
      'copy (select row_to_json(i) from documint.invoices i order by id) to stdout',
    );
    const seconds = (performance.now() - startedMs) / 1000;
    const { user, system } = process.cpuUsage(before);
    const server = meter.stop().get('postgres')?.cpuSeconds ?? 0;
    const rows = rowCount ?? 0;
    say(
      `COPY (SELECT row_to_json …): ${rows} rows in ${seconds.toFixed(2)} s, ${Math.round(rows / seconds)} rows/s, ` +
        `${((server / rows) * 1e6).toFixed(1)} µs CPU each in PostgreSQL, ${((user + system) / rows).toFixed(1)} µs in the client`,
    );
  } finally {
    await client.end();
  }
}
