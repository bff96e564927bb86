import { setTimeout as delay } from 'node:timers/promises';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import { latencyLine } from '../../deploy/demo/delay-watch.ts';
import { startTraffic } from '../../deploy/demo/traffic.ts';
import { type Customer, openWorld, type World } from '../../deploy/demo/world.ts';
import { type OtlpCollector, openOtlpCollector } from '../support/otlp-collector.ts';
import type { BenchOptions } from './bench-exports.ts';
import { type BenchReceiver, openBenchReceiver } from './bench-receiver.ts';
import { timedExport } from './bench-small-exports.ts';
import { machineLoad } from './machine-load.ts';
import { hopLines, SAMPLING } from './trace-hops.ts';
import { startBenchMeter, usageLines } from './usage-table.ts';

const ENDPOINTS = 10;

/** Accounts that have their first export while the traffic runs. */
const NEW_ACCOUNTS = 5;

const ROWS_OF_OTHERS = 2_000;

/** Until the compilers of Kafka's Java and of Node have done their most. */
const WARM_UP_MS = 15_000;

/** One connection does so many of the demo's transactions a second with ease. */
const PER_CONNECTION = 50;

const EXPORT_LIMIT_MS = 600_000;
const DRAIN_LIMIT_MS = 300_000;
const QUIET_MS = 500;
const POLL_MS = 50;

interface Phase {
  readonly perSecond: number;
  readonly withExport: boolean;
  readonly withBulk: boolean;
}

const PHASES: readonly Phase[] = [
  { perSecond: 250, withExport: false, withBulk: false },
  { perSecond: 250, withExport: true, withBulk: false },
  { perSecond: 250, withExport: true, withBulk: true },
  { perSecond: 1_000, withExport: false, withBulk: false },
  { perSecond: 1_000, withExport: true, withBulk: true },
];

interface Mixed {
  readonly world: World;
  /** Has most of the rows; the export and the bulk job are its own. */
  readonly main: Customer;
  readonly accounts: readonly string[];
  /** Gets the main account's events; those of the bulk job are left out. */
  readonly ofMain: BenchReceiver;
  /** Gets those of all other accounts. */
  readonly ofOthers: BenchReceiver;
  readonly collector: OtlpCollector;
  readonly options: BenchOptions;
}

/**
 * Everything at once: the demo's traffic on ten accounts with an endpoint each, an export of most of the rows, and a bulk
 * job. How long events take, hop by hop, and what each process takes. The traffic and the receivers run in this process.
 */
export async function benchMixed(options: BenchOptions): Promise<void> {
  const { say, rows } = options;
  const accountCount = ENDPOINTS + NEW_ACCOUNTS;
  const allRows = rows + ROWS_OF_OTHERS * (accountCount - 1);
  await using collector = await openOtlpCollector();
  await using world = await openWorld({
    stack: options.stack,
    directory: options.directory,
    rows: allRows,
    accounts: accountCount,
    mainAccountShare: rows / allRows,
    services: {
      api: 1,
      extractor: options.copies,
      writer: options.copies,
      capture: 1,
      dispatcher: 1,
      bulk: 1,
    },
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...SAMPLING },
    log: options.log,
  });
  await using ofMain = await openBenchReceiver((body) => !body.includes('"bulk_job_id"'));
  await using ofOthers = await openBenchReceiver();
  const accounts = world.generated.accounts.slice(0, ENDPOINTS);
  const customers: Customer[] = [];
  // Events of the account, such as that an export has ended, have no commit.
  const events = world.catalog.resources.map(({ event }) => `${event}.*`);
  for (const [n, account] of accounts.entries()) {
    const customer = await world.createCustomer(account);
    const { url } = n === 0 ? ofMain : ofOthers;
    await customer.client.call('POST', '/webhooks', { url: `${url}/${n}`, events, start: 'now' });
    customers.push(customer);
  }
  const [main] = customers;
  if (main === undefined) throw new Error('the sample has no account');
  const mixed: Mixed = { world, main, accounts, ofMain, ofOthers, collector, options };
  say(`warming up for ${WARM_UP_MS / 1000} s, which are not measured`);
  await runPhase({ perSecond: 250, withExport: false, withBulk: false }, mixed, WARM_UP_MS, () => undefined);
  for (const phase of PHASES) await runPhase(phase, mixed, options.seconds * 1_000, say);
  await firstExports(mixed);
}

/** Lasts `atLeastMs`, and until the export and the bulk job have ended. */
async function runPhase(
  { perSecond, withExport, withBulk }: Phase,
  { world, main, accounts, ofMain, ofOthers, collector, options }: Mixed,
  atLeastMs: number,
  say: (line: string) => void,
): Promise<void> {
  const receivers = [ofMain, ofOthers];
  for (const receiver of receivers) receiver.reset();
  const spansBefore = collector.spans.length;
  const meter = startBenchMeter(world.services, options.parts);
  const startedMs = performance.now();
  const traffic = await startTraffic({
    databaseUrl: world.sourceUrl,
    accounts,
    perSecond,
    connections: Math.ceil(perSecond / PER_CONNECTION),
    seed: perSecond,
  });
  const results = await Promise.all([
    delay(atLeastMs),
    withExport ? exportInvoices(main) : undefined,
    withBulk ? changeInBulk(main) : undefined,
  ]);
  const seconds = (performance.now() - startedMs) / 1_000;
  const { commits, rollbacks, failures } = await traffic.stop();
  const usage = meter.stop();
  const endedMs = performance.timeOrigin + performance.now();
  await untilQuiet(receivers);
  const lateMs = Math.max(0, ...receivers.map(({ receivedMs }) => (receivedMs.at(-1) ?? endedMs) - endedMs));

  const transactions = commits + rollbacks;
  const beside = [...(withExport ? ['an export'] : []), ...(withBulk ? ['a bulk job'] : [])];
  say(
    `${perSecond} transactions/s ${beside.length === 0 ? 'alone' : `beside ${beside.join(' and ')}`}: ` +
      `${Math.round(transactions / seconds)}/s for ${seconds.toFixed(1)} s, ${failures} failed; ${machineLoad()}`,
  );
  for (const line of results) if (line !== undefined) say(`    ${line}`);
  say(`    the main account's events, commit → received:  ${latencyLine(delaysOf(ofMain))}`);
  say(`    other accounts' events, commit → received:     ${latencyLine(delaysOf(ofOthers))}`);
  say(
    `    ${ofMain.receivedMs.length + ofOthers.receivedMs.length} events; the last came ` +
      `${(lateMs / 1_000).toFixed(1)} s after the end`,
  );
  for (const line of hopLines(collector.spans.slice(spansBefore))) say(line);
  for (const line of usageLines(usage, transactions)) say(line);
}

async function exportInvoices(main: Customer): Promise<string> {
  const { view, seconds } = await timedExport(
    main,
    { resource: 'invoices', include_deleted: true },
    EXPORT_LIMIT_MS,
  );
  const rows = view.files?.[0]?.rows ?? 0;
  return `export: ${rows} rows in ${seconds.toFixed(1)} s, ${Math.round(rows / seconds)} rows/s`;
}

async function changeInBulk({ client }: Customer): Promise<string> {
  const startedMs = performance.now();
  const { job_id: id } = await client.call<{ job_id: string }>('POST', '/bulk/operations', {
    resource: 'customers',
    operation: 'update',
    async: true,
    filter: { id: { gte: 1 } },
    params: { name: 'changed in bulk' },
  });
  for (;;) {
    const job = await client.call<{ status: string; succeeded: number }>('GET', `/bulk/operations/${id}`);
    if (['completed', 'failed', 'cancelled'].includes(job.status)) {
      const seconds = (performance.now() - startedMs) / 1_000;
      const perSecond = Math.round(job.succeeded / seconds);
      return `bulk job: ${job.succeeded} items ${job.status} in ${seconds.toFixed(1)} s, ${perSecond} items/s`;
    }
    await delay(POLL_MS);
  }
}

/** How soon an account's first export has its snapshot, under the traffic; the next account's follows when it has ended. */
async function firstExports({ world, accounts, options: { say } }: Mixed): Promise<void> {
  const traffic = await startTraffic({
    databaseUrl: world.sourceUrl,
    accounts,
    perSecond: 250,
    connections: 250 / PER_CONNECTION,
    seed: 1,
  });
  const readsAfterMs: number[] = [];
  for (const account of world.generated.accounts.slice(ENDPOINTS)) {
    const { client } = await world.createCustomer(account);
    const askedMs = Date.now();
    const { id } = await client.call<ExportView>('POST', '/exports', { resource: 'invoices' });
    const { snapshot } = await client.completedExport(id, EXPORT_LIMIT_MS);
    readsAfterMs.push(Date.parse(snapshot?.taken_at ?? '') - askedMs);
  }
  await traffic.stop();
  say(
    `first export of a new account at 250 transactions/s, request → snapshot: ${latencyLine(readsAfterMs)}`,
  );
}

function delaysOf({ receivedMs, committedMs }: BenchReceiver): number[] {
  return receivedMs.map((atMs, n) => atMs - (committedMs[n] ?? 0));
}

/** Until nothing has come for a while. */
async function untilQuiet(receivers: readonly BenchReceiver[]): Promise<void> {
  const deadlineMs = performance.now() + DRAIN_LIMIT_MS;
  const count = () => receivers.reduce((sum, { requestCount }) => sum + requestCount, 0);
  for (let before = -1; before !== count(); ) {
    if (performance.now() > deadlineMs) throw new Error('the feed did not drain in five minutes');
    before = count();
    await delay(QUIET_MS);
  }
}
