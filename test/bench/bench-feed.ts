import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { latencyLine } from '../../deploy/demo/delay-watch.ts';
import { type Customer, openWorld, type World } from '../../deploy/demo/world.ts';
import { startServices } from '../../deploy/local/supervise.ts';
import { benchBatches } from './bench-batches.ts';
import { benchCapture } from './bench-capture.ts';
import type { BenchOptions } from './bench-exports.ts';
import { type BenchReceiver, openBenchReceiver } from './bench-receiver.ts';
import { benchHops } from './feed-hops.ts';
import { commitPaced, insertAtOnce, insertSingly } from './feed-load.ts';
import { machineLoad } from './machine-load.ts';
import { startBenchMeter, usageLines } from './usage-table.ts';

const CHANGES_PER_SECOND = [250, 1_000];
const PACED_SECONDS = 15;
/** Until the compilers of Kafka's Java and of Node have done their most; as long as it takes in a service that runs. */
const WARM_UP = { changesPerSecond: 400, seconds: 15 };
const BURST_ROWS = 20_000;
const MORE_ENDPOINTS = 4;
const DRAIN_LIMIT_MS = 300_000;

/** What a burst is made of, and how many endpoints get it. */
const BURSTS = [
  { how: 'one transaction', write: insertAtOnce, endpoints: 1 },
  { how: 'single-row transactions', write: insertSingly, endpoints: 1 },
  { how: 'single-row transactions', write: insertSingly, endpoints: 1 + MORE_ENDPOINTS },
];

/**
 * Commit to webhook at steady rates, as a whole and hop by hop; then how fast bursts go through capture and the event log to
 * one and more endpoints, and how fast capture is alone. Writer and receiver run in this process, whose CPU is said too.
 */
export async function benchFeed(options: BenchOptions): Promise<void> {
  const { say } = options;
  await using opened = await openWorld({
    stack: options.stack,
    directory: options.directory,
    rows: 2_000,
    accounts: 1,
    services: { api: 1 },
    log: options.log,
  });
  const { env, controlUrl } = opened;
  await using cleanup = new AsyncDisposableStack();
  const services = cleanup.use(
    await startServices({
      env,
      services: { capture: 1, dispatcher: options.copies },
      log: options.log,
      home: join(options.directory, opened.prefix, 'feed'),
    }),
  );
  await services.untilReady();
  const world: World = { ...opened, services };
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  const source = new pg.Pool({ connectionString: world.sourceUrl, max: 8 });
  const control = new pg.Pool({ connectionString: controlUrl, max: 1 });
  cleanup.defer(() => source.end());
  cleanup.defer(() => control.end());
  const receiver = cleanup.use(await openBenchReceiver());
  const subscribe = async (path: string) => {
    const url = `${receiver.url}/${path}`;
    await customer.client.call('POST', '/webhooks', { url, events: ['*'], start: 'now' });
  };
  await subscribe('first');

  const { changesPerSecond, seconds } = WARM_UP;
  say(`warming up with ${changesPerSecond} changes/s for ${seconds} s, which are not measured`);
  await commitPaced(source, changesPerSecond, changesPerSecond * seconds);
  await until(() => receiver.receivedMs.length >= changesPerSecond * seconds);
  for (const rate of CHANGES_PER_SECOND) await benchPaced(world, source, receiver, rate, options);
  await benchHops({ world, controlUrl, receiver, until, say });

  const burstsSince = await databaseNow(source);
  for (const [run, burst] of BURSTS.entries()) {
    if (burst.endpoints > 1) for (let n = 1; n <= MORE_ENDPOINTS; n += 1) await subscribe(`more-${n}`);
    const isRecorded = () => isLastRecorded(control, customer, `burst ${run}`);
    await benchBurst({ ...burst, name: `burst ${run}`, world, source, receiver, isRecorded }, options);
  }
  await benchBatches({
    world,
    customer,
    burst: { count: BURST_ROWS, write: () => insertAtOnce(source, BURST_ROWS, 'batches') },
    logged: { count: BURSTS.length * BURST_ROWS, since: burstsSince },
    parts: options.parts,
    say,
  });
  await services.stop();
  await benchCapture({ world, source, bench: options, until });
}

async function benchPaced(
  world: World,
  source: pg.Pool,
  receiver: BenchReceiver,
  rate: number,
  { say, parts }: BenchOptions,
): Promise<void> {
  receiver.reset();
  const count = rate * PACED_SECONDS;
  const meter = startBenchMeter(world.services, parts);
  await commitPaced(source, rate, count);
  await until(() => receiver.receivedMs.length >= count);
  const usage = meter.stop();
  const latencies = receiver.receivedMs.map((atMs, n) => atMs - (receiver.committedMs[n] ?? 0));
  say(`commit to webhook at ${rate} changes/s: ${latencyLine(latencies)}; ${machineLoad()}`);
  for (const line of usageLines(usage, count)) say(line);
}

interface Burst {
  how: string;
  write(source: pg.Pool, count: number, name: string): Promise<void>;
  endpoints: number;
  name: string;
  world: World;
  source: pg.Pool;
  receiver: BenchReceiver;
  isRecorded(): Promise<boolean>;
}

async function benchBurst(burst: Burst, { say, parts }: BenchOptions): Promise<void> {
  const { how, endpoints, name, world, source, receiver } = burst;
  receiver.reset();
  const meter = startBenchMeter(world.services, parts);
  const startedMs = performance.now();
  const secondsNow = () => (performance.now() - startedMs) / 1000;
  // Its last row alone has the burst's name, and tells of all before it.
  await burst.write(source, BURST_ROWS - 1, how);
  await insertAtOnce(source, 1, name);
  const writtenSeconds = secondsNow();
  await until(burst.isRecorded);
  const recordedSeconds = secondsNow();
  const deliveries = BURST_ROWS * endpoints;
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

/** An account's events are recorded in the order of their commits, so the last one tells of all. Counting would cost more than the feed. */
async function isLastRecorded(control: pg.Pool, customer: Customer, name: string): Promise<boolean> {
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
