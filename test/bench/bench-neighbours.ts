import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type Customer, openWorld } from '../../deploy/demo/world.ts';
import type { BenchOptions } from './bench-exports.ts';
import { openBenchReceiver } from './bench-receiver.ts';
import { type Behaviour, openHostileReceiver } from './hostile-receiver.ts';
import { machineLoad } from './machine-load.ts';
import { startMeter, usageLines } from './usage-table.ts';

const EVENTS_PER_SECOND = 50;
const SECONDS = 20;
const WARM_UP_SECONDS = 10;
const DRAIN_LIMIT_MS = 120_000;

/** As many as an account may have. */
const ENDPOINTS_PER_ACCOUNT = 50;

/** A neighbour is left alone if its p99 is at most so many times what it is alone. */
const BOUND = 2;

const RUNS: readonly { readonly behaviour: Behaviour; readonly endpoints: number }[] = [
  { behaviour: 'hang', endpoints: 1 },
  { behaviour: 'hang', endpoints: 50 },
  { behaviour: 'hang', endpoints: 500 },
  { behaviour: 'interim', endpoints: 5 },
  { behaviour: 'headers', endpoints: 5 },
  // A response that is too long counts by its status: these get every event at once, as those that answer do.
  { behaviour: 'answer', endpoints: 5 },
  { behaviour: 'extension', endpoints: 5 },
];

const INSERT_ONE_EACH = `insert into documint.customers (account_id, name, email, country, address)
  select account, 'n', 'n@example.com', 'DE', '{}' from unnest($1::text[]) account`;

/**
 * Commit to webhook of one account's healthy endpoint, alone and beside other accounts' endpoints that hang or answer without an
 * end. Each commit makes one event of each account.
 */
export async function benchNeighbours({ say, ...options }: BenchOptions): Promise<void> {
  const hostileAccounts = Math.ceil(
    Math.max(...RUNS.map(({ endpoints }) => endpoints)) / ENDPOINTS_PER_ACCOUNT,
  );
  await using world = await openWorld({
    stack: options.stack,
    directory: options.directory,
    rows: 2_000,
    accounts: 1 + hostileAccounts,
    services: { api: 1, capture: 1, dispatcher: options.copies },
    log: options.log,
  });
  await using cleanup = new AsyncDisposableStack();
  const source = new pg.Pool({ connectionString: world.sourceUrl, max: 8 });
  cleanup.defer(() => source.end());
  const control = new pg.Pool({ connectionString: world.controlUrl, max: 1 });
  cleanup.defer(() => control.end());
  const receiver = cleanup.use(await openBenchReceiver());
  const hostile = cleanup.use(await openHostileReceiver());
  const customers: Customer[] = [];
  for (const sourceId of world.generated.accounts) customers.push(await world.createCustomer(sourceId));
  const [quiet, ...loud] = customers;
  await quiet?.client.call('POST', '/webhooks', { url: `${receiver.url}/quiet` });

  const look = async () => {
    const { rows } = await control.query<{ transactions: string }>(
      'select xact_commit + xact_rollback as transactions from pg_stat_database where datname = current_database()',
    );
    const metrics = await fetch(`${world.services.url('dispatcher')}/metrics`).then((response) =>
      response.text(),
    );
    const [, lag = 'NaN'] = /^nodejs_eventloop_lag_p99_seconds(?:\{.*\})? (\S+)$/m.exec(metrics) ?? [];
    return {
      atMs: performance.now(),
      transactions: Number(rows[0]?.transactions),
      lagMs: Number(lag) * 1_000,
      pids: world.services.pids('dispatcher').join(),
    };
  };

  /** @returns the quiet account's 99th percentile, in ms */
  const measure = async (what: string, accounts: readonly Customer[], seconds = SECONDS): Promise<number> => {
    receiver.reset();
    const meter = startMeter(world.services, options.parts);
    const before = await look();
    const sourceIds = [quiet, ...accounts].flatMap((customer) => customer?.sourceId ?? []);
    const count = seconds * EVENTS_PER_SECOND;
    await commitPaced(source, sourceIds, count);
    const deadlineMs = performance.now() + DRAIN_LIMIT_MS;
    while (receiver.receivedMs.length < count && performance.now() < deadlineMs) await delay(20);
    const lines = usageLines(meter.stop(), count);
    const taken = receiver.receivedMs.map((atMs, n) => atMs - (receiver.committedMs[n] ?? 0));
    const sorted = taken.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.POSITIVE_INFINITY;
    say(
      `${what}: ${taken.length} of ${count} events of the quiet account, p50 ${at(0.5).toFixed(0)} ms, ` +
        `p99 ${at(0.99).toFixed(0)} ms; ${machineLoad()}`,
    );
    const after = await look();
    const perSecond = (after.transactions - before.transactions) / ((after.atMs - before.atMs) / 1_000);
    say(
      `  dispatcher: event loop p99 ${after.lagMs.toFixed(0)} ms late; control store: ${perSecond.toFixed(0)} transactions a second`,
    );
    if (after.pids !== before.pids) say('  A DISPATCHER ENDED meanwhile: see service.crashed in the log');
    for (const line of lines) say(line);
    return at(0.99);
  };

  await measure('warming up', loud, WARM_UP_SECONDS);
  let aloneMs = await measure('alone', loud);
  for (const { behaviour, endpoints } of RUNS) {
    const made: (() => Promise<unknown>)[] = [];
    for (let n = 0; n < endpoints; n += 1) {
      const client = loud[Math.floor(n / ENDPOINTS_PER_ACCOUNT)]?.client;
      const body = { url: hostile.urlOf(behaviour, `${n}`), max_in_flight: 100 };
      const webhook = await client?.call<{ id: string }>('POST', '/webhooks', body);
      made.push(async () => client?.call('DELETE', `/webhooks/${webhook?.id}`));
    }
    const besideMs = await measure(`beside ${endpoints} endpoints (${behaviour})`, loud);
    for (const remove of made) await remove();
    const aloneAfterMs = await measure('alone again', loud);
    // The machine is not the same all the time: what counts is the time just before and just after.
    const times = besideMs / ((aloneMs + aloneAfterMs) / 2);
    aloneMs = aloneAfterMs;
    say(
      `  ${times.toFixed(1)} times the p99 alone: ${times <= BOUND ? 'within' : 'OVER'} the bound of ${BOUND}`,
    );
  }
}

async function commitPaced(source: pg.Pool, sourceIds: readonly string[], count: number): Promise<void> {
  const startedMs = performance.now();
  const pending: Promise<unknown>[] = [];
  for (let n = 0; n < count; n += 1) {
    pending.push(source.query(INSERT_ONE_EACH, [sourceIds]));
    const waitMs = startedMs + ((n + 1) * 1_000) / EVENTS_PER_SECOND - performance.now();
    if (waitMs > 1) await delay(waitMs);
  }
  await Promise.all(pending);
}
