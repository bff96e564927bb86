import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type Customer, openWorld, type World } from '../demo/world.ts';
import { benchBatches } from './bench-batches.ts';
import type { BenchOptions } from './bench-exports.ts';
import { type BenchReceiver, openBenchReceiver } from './bench-receiver.ts';
import { machineLoad } from './machine-load.ts';
import { startMeter, usageLines } from './usage-table.ts';

const CHANGES_PER_SECOND = [250, 1_000];
const WARM_UP_SECONDS = 3;
const PACED_SECONDS = 15;
const BURST_ROWS = 20_000;
const MORE_ENDPOINTS = 4;
const DRAIN_LIMIT_MS = 300_000;

/** What a burst is made of, and how many endpoints get it. */
const BURSTS = [
  { how: 'one transaction', write: writeAtOnce, endpoints: 1 },
  { how: 'single-row transactions', write: writeSingly, endpoints: 1 },
  { how: 'single-row transactions', write: writeSingly, endpoints: 1 + MORE_ENDPOINTS },
];

/** Commit to webhook at steady rates, then how fast bursts go through capture and the event log to one and more endpoints. */
export async function benchFeed(options: BenchOptions): Promise<void> {
  const { say } = options;
  await using world = await openWorld({
    stack: options.stack,
    directory: options.directory,
    rows: 2_000,
    accounts: 1,
    services: { api: 1, capture: 1, dispatcher: options.copies },
    log: options.log,
  });
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  const source = new pg.Pool({ connectionString: world.sourceUrl, max: 8 });
  const control = new pg.Pool({ connectionString: world.controlUrl, max: 1 });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => source.end());
  cleanup.defer(() => control.end());
  const receiver = cleanup.use(await openBenchReceiver());
  const subscribe = async (path: string) => {
    const url = `${receiver.url}/${path}`;
    await customer.client.call('POST', '/webhooks', { url, events: ['*'], start: 'now' });
  };
  await subscribe('first');
  for (const rate of CHANGES_PER_SECOND) await benchPaced(world, source, receiver, rate, options);
  const burstsSince = await databaseNow(source);
  for (const [run, { how, write, endpoints }] of BURSTS.entries()) {
    if (endpoints > 1) for (let n = 1; n <= MORE_ENDPOINTS; n += 1) await subscribe(`more-${n}`);
    receiver.reset();
    const meter = startMeter(world.services, options.parts);
    const startedMs = performance.now();
    const secondsNow = () => (performance.now() - startedMs) / 1000;
    await write(source);
    const last = `the last of burst ${run}`;
    await source.query(INSERT_ONE, [last]);
    const writtenSeconds = secondsNow();
    await until(() => isRecorded(control, customer, last));
    const recordedSeconds = secondsNow();
    const deliveries = (BURST_ROWS + 1) * endpoints;
    await until(() => receiver.receivedMs.length >= deliveries);
    const deliveredSeconds = secondsNow();
    say(
      `${BURST_ROWS} changes in ${how}: written in ${writtenSeconds.toFixed(1)} s; in the event log after ` +
        `${recordedSeconds.toFixed(1)} s (${Math.round(BURST_ROWS / recordedSeconds)}/s); ${deliveries} requests, one event ` +
        `each, to ${endpoints} endpoint${endpoints === 1 ? '' : 's'} after ${deliveredSeconds.toFixed(1)} s ` +
        `(${Math.round(deliveries / deliveredSeconds)}/s); ${machineLoad()}`,
    );
    for (const line of usageLines(meter.stop(), deliveries)) say(line);
  }
  await benchBatches({
    world,
    customer,
    burst: { count: BURST_ROWS, write: () => writeAtOnce(source) },
    logged: { count: BURSTS.length * (BURST_ROWS + 1), since: burstsSince },
    parts: options.parts,
    say,
  });
}

async function benchPaced(
  world: World,
  source: pg.Pool,
  receiver: BenchReceiver,
  rate: number,
  { say, parts }: BenchOptions,
): Promise<void> {
  const paced = async (count: number) => {
    const startedMs = performance.now();
    const pending: Promise<unknown>[] = [];
    for (let n = 0; n < count; n += 1) {
      pending.push(source.query(UPDATE_ONE, [n]));
      const waitMs = startedMs + ((n + 1) * 1000) / rate - performance.now();
      if (waitMs > 1) await delay(waitMs);
    }
    await Promise.all(pending);
  };
  receiver.reset();
  await paced(rate * WARM_UP_SECONDS);
  await until(() => receiver.receivedMs.length >= rate * WARM_UP_SECONDS);
  receiver.reset();
  const count = rate * PACED_SECONDS;
  const meter = startMeter(world.services, parts);
  await paced(count);
  await until(() => receiver.receivedMs.length >= count);
  const usage = meter.stop();
  const latencies = receiver.receivedMs
    .map((receivedMs, n) => receivedMs - (receiver.committedMs[n] ?? 0))
    .sort((a, b) => a - b);
  const at = (share: number) => (latencies[Math.floor(latencies.length * share)] ?? 0).toFixed(1);
  say(
    `commit to webhook at ${rate} changes/s: p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, ` +
      `longest ${(latencies.at(-1) ?? 0).toFixed(1)} ms; ${machineLoad()}`,
  );
  for (const line of usageLines(usage, count)) say(line);
}

/** Of many records, because one record's events are sent one after the other. */
const UPDATE_ONE =
  'update documint.customers set credit_limit = coalesce(credit_limit, 0) + 1 where id = 1 + $1::bigint % 100';

const INSERT_ONE = `insert into documint.customers (account_id, name, email, country, address)
  values ('acc_001', $1, 'n@example.com', 'DE', '{}')`;

async function writeAtOnce(source: pg.Pool): Promise<void> {
  await source.query(
    `insert into documint.customers (account_id, name, email, country, address)
     select 'acc_001', 'n ' || n, 'n@example.com', 'DE', '{}' from generate_series(1, $1::int) n`,
    [BURST_ROWS],
  );
}

async function writeSingly(source: pg.Pool): Promise<void> {
  let next = 0;
  const session = async () => {
    const client = await source.connect();
    // What is measured is the feed; the product's own wait for the disk would hide it.
    await client.query('set synchronous_commit = off');
    while (next < BURST_ROWS) {
      next += 1;
      await client.query(INSERT_ONE, [`n ${next}`]);
    }
    client.release(true);
  };
  await Promise.all(Array.from({ length: 8 }, session));
}

/** An account's events are recorded in the order of their commits, so the last one tells of all. Counting would cost more than the feed. */
async function isRecorded(control: pg.Pool, customer: Customer, name: string): Promise<boolean> {
  const { rows } = await control.query<{ name: string }>(
    `select payload::jsonb #>> '{data,name}' as name from tandem.events
      where account_id = $1 order by commit_lsn desc, idx desc limit 1`,
    [customer.id],
  );
  return rows[0]?.name === name;
}

/** The events' own clock. */
async function databaseNow(source: pg.Pool): Promise<Date> {
  const { rows } = await source.query<{ now: Date }>('select clock_timestamp() as now');
  return rows[0]?.now ?? new Date();
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + DRAIN_LIMIT_MS;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error('the feed did not drain in five minutes');
    await delay(20);
  }
}
