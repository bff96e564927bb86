import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { openReceiver } from '../demo/receiver.ts';
import type { FeedEvent } from '../demo/replica.ts';
import { type Customer, openWorld, type World } from '../demo/world.ts';
import type { BenchOptions } from './bench-exports.ts';
import { startMeter, usageLines } from './usage-table.ts';

const CHANGES_PER_SECOND = 200;
const PACED_SECONDS = 20;
const BURST_ROWS = 50_000;
const DRAIN_LIMIT_MS = 300_000;

/** Commit to webhook at a steady rate, then how fast a burst goes through capture, the event log and one endpoint. */
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
  const arrivals: { committedMs: number; receivedMs: number }[] = [];
  const receiver = cleanup.use(
    await openReceiver({
      onDelivery({ event }) {
        const receivedMs = performance.timeOrigin + performance.now();
        arrivals.push({ committedMs: microsecondTime(event), receivedMs });
        return { status: 204 };
      },
    }),
  );
  await subscribe(customer, receiver.url, receiver.setSecret);
  await benchPaced(world, source, arrivals, options);

  for (const isSingle of [false, true]) {
    arrivals.length = 0;
    const before = await countEvents(control);
    const meter = startMeter(world.services, options.parts);
    const startedMs = performance.now();
    await (isSingle ? writeSingly(source) : writeAtOnce(source));
    const writtenSeconds = (performance.now() - startedMs) / 1000;
    await until(async () => (await countEvents(control)) - before >= BURST_ROWS);
    const recordedSeconds = (performance.now() - startedMs) / 1000;
    await until(() => arrivals.length >= BURST_ROWS);
    const deliveredSeconds = (performance.now() - startedMs) / 1000;
    say(
      `${BURST_ROWS} changes in ${isSingle ? 'single-row transactions' : 'one transaction'}: written in ` +
        `${writtenSeconds.toFixed(1)} s; in the event log after ${recordedSeconds.toFixed(1)} s ` +
        `(${Math.round(BURST_ROWS / recordedSeconds)}/s); delivered one by one to one endpoint after ` +
        `${deliveredSeconds.toFixed(1)} s (${Math.round(BURST_ROWS / deliveredSeconds)}/s)`,
    );
    for (const line of usageLines(meter.stop(), BURST_ROWS)) say(line);
  }
}

async function subscribe(
  customer: Customer,
  url: string,
  setSecret: (secret: string) => void,
): Promise<void> {
  const { secret } = await customer.client.call<{ secret: string }>('POST', '/webhooks', {
    url,
    events: ['*'],
    start: 'now',
  });
  setSecret(secret);
}

async function benchPaced(
  world: World,
  source: pg.Pool,
  arrivals: { committedMs: number; receivedMs: number }[],
  { say, parts }: BenchOptions,
): Promise<void> {
  const paced = async (count: number) => {
    const startedMs = performance.now();
    const pending: Promise<unknown>[] = [];
    for (let n = 0; n < count; n += 1) {
      pending.push(source.query(UPDATE_ONE, [1 + (n % 2_000)]));
      const waitMs = startedMs + ((n + 1) * 1000) / CHANGES_PER_SECOND - performance.now();
      if (waitMs > 1) await delay(waitMs);
    }
    await Promise.all(pending);
  };
  await paced(CHANGES_PER_SECOND * 3);
  await until(() => arrivals.length >= CHANGES_PER_SECOND * 3);
  arrivals.length = 0;
  const count = CHANGES_PER_SECOND * PACED_SECONDS;
  const meter = startMeter(world.services, parts);
  await paced(count);
  await until(() => arrivals.length >= count);
  const usage = meter.stop();
  const latencies = arrivals
    .map(({ committedMs, receivedMs }) => receivedMs - committedMs)
    .sort((a, b) => a - b);
  const at = (share: number) => (latencies[Math.floor(latencies.length * share)] ?? 0).toFixed(1);
  say(
    `commit to webhook at ${CHANGES_PER_SECOND} changes/s: p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, ` +
      `longest ${(latencies.at(-1) ?? 0).toFixed(1)} ms`,
  );
  for (const line of usageLines(usage, count)) say(line);
}

const UPDATE_ONE =
  'update documint.customers set credit_limit = coalesce(credit_limit, 0) + 1 where id = 1 + $1::bigint % 100';

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
      await client.query(
        `insert into documint.customers (account_id, name, email, country, address)
         values ('acc_001', $1, 'n@example.com', 'DE', '{}')`,
        [`n ${next}`],
      );
    }
    client.release(true);
  };
  await Promise.all(Array.from({ length: 8 }, session));
}

async function countEvents(control: pg.Pool): Promise<number> {
  const { rows } = await control.query<{ count: number }>('select count(*)::int as count from tandem.events');
  return rows[0]?.count ?? 0;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + DRAIN_LIMIT_MS;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error('the feed did not drain in five minutes');
    await delay(20);
  }
}

/** `Date.parse` drops the microseconds. */
function microsecondTime(event: FeedEvent): number {
  const { timestamp } = event as FeedEvent & { timestamp: string };
  const fraction = /\.(\d+)Z$/.exec(timestamp)?.[1] ?? '0';
  return Math.floor(Date.parse(timestamp) / 1000) * 1000 + Number(`0.${fraction}`) * 1000;
}
