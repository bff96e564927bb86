import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type Customer, openWorld, type World } from '../../deploy/demo/world.ts';
import { type ServiceName, type Services, startServices } from '../../deploy/local/supervise.ts';
import { benchEndpoints } from './bench-endpoints.ts';
import type { BenchOptions } from './bench-exports.ts';
import { benchManyResources } from './bench-many-resources.ts';
import { benchQueuedJobs } from './bench-queued-jobs.ts';
import { openBenchReceiver } from './bench-receiver.ts';
import { timedExport } from './bench-small-exports.ts';
import { machineLoad } from './machine-load.ts';
import type { Usage } from './process-usage.ts';
import { startMeter } from './usage-table.ts';

const COUNTS = [1, 2, 4];

/** With more processes, a unit's CPU should be what it is with one, give or take so much. */
const BOUND = 0.15;

const ACCOUNTS = 32;
const LIMIT_MS = 600_000;
const API_REQUESTS = 4_000;
const API_CLIENTS = 8;

/** Rows of the export, of which the feed and the bulk job get a part: their units cost more. */
const CHANGES_PER_ROW = 0.05;
const ITEMS_PER_ROW = 0.1;

interface Work {
  /** Rows, deliveries, items or requests. */
  readonly units: number;
  readonly seconds: number;
}

interface Scaled {
  /** What a unit is. */
  readonly unit: string;
  /** How many of each service there are when `count` processes are asked for. */
  readonly services: (count: number) => Partial<Record<ServiceName, number>>;
  /** Does the work once. It is done before the measurement too, once for each process, so that all have compiled their code. */
  readonly work: (services: Services, count: number) => Promise<Work>;
}

/**
 * What a unit of work costs each service with one, two and four processes of it, beside each other; then ten thousand endpoints on
 * one account and on as many accounts, exports of 200 resources, and a thousand queued jobs. `--rows`, `--endpoints` and `--jobs` set the sizes.
 */
export async function benchScaleOut(options: BenchOptions): Promise<void> {
  await benchProcesses(options);
  await benchEndpoints(options);
  await benchManyResources(options);
  await benchQueuedJobs(options);
}

async function benchProcesses(options: BenchOptions): Promise<void> {
  await using world = await openWorld({
    stack: options.stack,
    directory: options.directory,
    rows: options.rows,
    accounts: ACCOUNTS,
    mainAccountShare: 0.5,
    services: { api: 1 },
    env: { API_REQUESTS_PER_SECOND: '100000', BULK_MAX_SLOT_LAG_MB: '1000000' },
    log: options.log,
  });
  const customers: Customer[] = [];
  for (const sourceId of world.generated.accounts) customers.push(await world.createCustomer(sourceId));
  const [main] = customers;
  if (main === undefined) return;
  await using cleanup = new AsyncDisposableStack();
  const source = new pg.Pool({ connectionString: world.sourceUrl, max: 4 });
  cleanup.defer(() => source.end());
  const control = new pg.Pool({ connectionString: world.controlUrl, max: 1 });
  cleanup.defer(() => control.end());
  const receiver = cleanup.use(await openBenchReceiver());

  await compare(world, options, {
    unit: 'row',
    services: (count) => ({ extractor: count, writer: count, capture: 1, dispatcher: 1 }),
    work: async () => {
      const request = { resource: 'invoices', include_deleted: true };
      const { view, seconds } = await timedExport(main, request, LIMIT_MS);
      return { units: view.files?.[0]?.rows ?? 0, seconds };
    },
  });

  for (const { client, id } of customers) {
    await client.call('POST', '/webhooks', { url: `${receiver.url}/${id}`, max_in_flight: 50 });
  }
  const changes = Math.ceil((options.rows * CHANGES_PER_ROW) / ACCOUNTS) * ACCOUNTS;
  await compare(world, options, {
    unit: 'delivery',
    // One capture works; a second waits for its end.
    services: (count) => ({ capture: Math.min(2, count), dispatcher: count }),
    work: async (_services, count) => {
      await until('every dispatcher to hold endpoints', async () => {
        const { rows } = await control.query<{ owners: number }>(
          `select count(distinct w.lease_owner)::int as owners
             from tandem.webhooks w join tandem.dispatchers d on d.id = w.lease_owner and d.expires_at > now()`,
        );
        return rows[0]?.owners === count;
      });
      receiver.reset();
      const startedMs = performance.now();
      await source.query(
        `insert into documint.customers (account_id, name, email, country, address)
         select account, 'n', 'n@example.com', 'DE', '{}'
           from generate_series(1, $2::int) n cross join unnest($1::text[]) account`,
        [customers.map(({ sourceId }) => sourceId), changes / ACCOUNTS],
      );
      await until('every delivery', () => receiver.receivedMs.length >= changes);
      return { units: changes, seconds: (performance.now() - startedMs) / 1_000 };
    },
  });

  let memo = 0;
  await compare(world, options, {
    unit: 'item',
    services: (count) => ({ bulk: count }),
    work: async () => {
      const startedMs = performance.now();
      memo += 1;
      const job = await main.client.call<{ job_id: string }>('POST', '/bulk/operations', {
        resource: 'invoices',
        operation: 'update',
        async: true,
        filter: { id: { lte: Math.ceil(options.rows * ITEMS_PER_ROW) } },
        params: { memo: `changed ${memo}` },
      });
      const read = () =>
        main.client.call<{ status: string; succeeded: number }>('GET', `/bulk/operations/${job.job_id}`);
      let found = await read();
      await until('the bulk job', async () => {
        found = await read();
        return found.status === 'completed';
      });
      return { units: found.succeeded, seconds: (performance.now() - startedMs) / 1_000 };
    },
  });

  await compare(world, options, {
    unit: 'request',
    services: (count) => ({ api: count }),
    work: async (services, count) => {
      const urls = Array.from(
        { length: count },
        (_, index) => `${services.url('api', index)}/exports?limit=1`,
      );
      const headers = { authorization: `Bearer ${main.key}` };
      const startedMs = performance.now();
      let next = 0;
      const client = async () => {
        while (next < API_REQUESTS) {
          const response = await fetch(urls[next++ % count] ?? '', { headers });
          if (!response.ok) throw new Error(`the api responded with ${response.status}`);
          await response.arrayBuffer();
        }
      };
      await Promise.all(Array.from({ length: API_CLIENTS }, client));
      return { units: API_REQUESTS, seconds: (performance.now() - startedMs) / 1_000 };
    },
  });
}

async function compare(world: World, options: BenchOptions, scaled: Scaled): Promise<void> {
  const { say } = options;
  say(`CPU of a ${scaled.unit} by number of processes:`);
  const alone = new Map<string, number>();
  for (const count of COUNTS) {
    const wanted = scaled.services(count);
    await using services = await startServices({
      env: world.env,
      services: wanted,
      log: options.log,
      home: join(options.directory, world.prefix, `${scaled.unit}-${count}`),
    });
    await services.untilReady();
    for (let n = 0; n < count; n += 1) await scaled.work(services, count);
    const meter = startMeter(services, options.parts);
    const { units, seconds } = await scaled.work(services, count);
    const perUnit = sumByService(meter.stop(), units);
    const shown = [...perUnit].map(([name, micros]) => {
      if (count === 1) alone.set(name, micros);
      const change = micros / (alone.get(name) ?? micros) - 1;
      const isScaled = wanted[name as ServiceName] === count;
      const verdict = isScaled && Math.abs(change) > BOUND ? ' OVER' : '';
      return `${name} ${micros.toFixed(1)} µs${count === 1 ? '' : ` (${percent(change)}${verdict})`}`;
    });
    say(
      `  ${count}: ${units} in ${seconds.toFixed(1)} s, ${Math.round(units / seconds)}/s; ${shown.join(', ')}; ${machineLoad()}`,
    );
  }
}

const percent = (share: number) => `${share >= 0 ? '+' : ''}${(100 * share).toFixed(0)} %`;

/** Microseconds of CPU per unit, all processes of a service together. */
function sumByService(usage: ReadonlyMap<string, Usage>, units: number): Map<string, number> {
  const sums = new Map<string, number>();
  for (const [name, { cpuSeconds }] of usage) {
    const service = name.replace(/ \d+$/, '');
    sums.set(service, (sums.get(service) ?? 0) + (cpuSeconds * 1e6) / units);
  }
  return sums;
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + LIMIT_MS;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`waited ${LIMIT_MS / 1_000} s in vain: ${what}`);
    await delay(20);
  }
}
