import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type Customer, openWorld, type World } from '../../deploy/demo/world.ts';
import { DOCUMINT } from '../../deploy/samples/products.ts';
import type { BenchOptions } from './bench-exports.ts';
import { distribution } from './distribution.ts';
import { machineLoad } from './machine-load.ts';
import { startMeter, usageLines } from './usage-table.ts';

/** What the bench reads of a job. */
interface Job {
  job_id: string;
  status: string;
  processed: number;
  succeeded: number;
  total: number;
}

const WORKERS = 2;

/** As `BULK_CHUNK_ITEMS` has it by default, so that the limit is measured with statements of the same size. */
const CHUNK_ITEMS = 1_000;

/** How often the product changes a row, and a client asks how the job is. */
const PROBE_MS = 20;
const STATUS_MS = 100;

/** What the product needs for its own changes with nothing else going on. */
const ALONE_MS = 10_000;

/** Items of the operation that a handler carries out. */
const HANDLER_ITEMS = 20_000;

/**
 * An operation that sets one column of every invoice of one account, with two workers, beside what PostgreSQL alone needs for the
 * same changes; how long the product's own changes and the status take meanwhile. Then one that asks a handler for each item.
 */
export async function benchBulk(options: BenchOptions): Promise<void> {
  const { say, rows } = options;
  await using cleanup = new AsyncDisposableStack();
  const handlerUrl = await startHandler(cleanup);
  await using world = await openWorld({
    stack: options.stack,
    directory: options.directory,
    product: { ...DOCUMINT, catalog: await catalogWithHandler(options.directory, handlerUrl) },
    rows,
    accounts: 1,
    services: { api: 1, bulk: WORKERS },
    // One chunk each, so that as many sessions change rows as do for the limit. Nobody reads the slot here, which is no reason
    // to go slower.
    env: { BULK_MAX_CHUNKS: '1', BULK_MAX_SLOT_LAG_MB: '1000000' },
    log: options.log,
  });
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  // Ends before the world, whose database goes with it.
  await using sessions = new AsyncDisposableStack();
  const source = sessions.adopt(
    new pg.Pool({ connectionString: world.sourceUrl, max: WORKERS + 1 }),
    (pool) => pool.end(),
  );
  await benchPlain(world, source, options);
  const probe = startProbe(() => updateOne(source, rows), PROBE_MS);
  await delay(ALONE_MS);
  say(`a product's update of one row, nothing else going on: ${distribution(await probe.stop())}`);
  await benchJob(world, customer, source, options, {
    operation: 'update',
    filter: { id: { gte: 1 } },
    params: { memo: 'changed in bulk' },
  });
  const last = await lastOf(source, HANDLER_ITEMS);
  await benchJob(world, customer, source, options, { operation: 'render', filter: { id: { lte: last } } });
}

/** A handler that responds at once. */
async function startHandler(cleanup: AsyncDisposableStack): Promise<string> {
  const server = createServer((request, response) => {
    request.resume().once('end', () => response.end('{}'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup.defer(() => void server.close().closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/render`;
}

async function catalogWithHandler(directory: string, url: string): Promise<string> {
  const text = await readFile(DOCUMINT.catalog, 'utf8');
  const path = join(directory, 'catalog-with-handler.yaml');
  await mkdir(directory, { recursive: true });
  await writeFile(path, text.replace('http://127.0.0.1:9000/render', url));
  return path;
}

/** The last ID of the first so many invoices. */
async function lastOf(source: pg.Pool, count: number): Promise<number> {
  const { rows } = await source.query<{ id: string }>(
    `select max(id) as id from (select id from documint.invoices where deleted_at is null order by id limit ${count}) as first`,
  );
  return Number(rows[0]?.id ?? 0);
}

async function benchJob(
  world: World,
  customer: Customer,
  source: pg.Pool,
  { say, parts, rows }: BenchOptions,
  request: { readonly operation: string; readonly filter: object; readonly params?: object },
): Promise<void> {
  const meter = startMeter(world.services, parts);
  const startedMs = performance.now();
  const secondsNow = () => (performance.now() - startedMs) / 1000;
  const { job_id: id } = await customer.client.call<Job>('POST', '/bulk/operations', {
    resource: 'invoices',
    async: true,
    ...request,
  });
  const read = () => customer.client.call<Job>('GET', `/bulk/operations/${id}`);
  let job = await read();
  let begunSeconds = 0;
  const updates = startProbe(() => updateOne(source, rows), PROBE_MS);
  const statuses = startProbe(async () => {
    job = await read();
    if (job.processed > 0 && begunSeconds === 0) begunSeconds = secondsNow();
  }, STATUS_MS);
  while (!['completed', 'failed', 'cancelled'].includes(job.status)) await delay(50);
  const seconds = secondsNow();
  const [updateMs, statusMs] = [await updates.stop(), await statuses.stop()];
  say(
    `bulk operation ${request.operation}: ${job.succeeded} of ${job.total} items ${job.status} in ${seconds.toFixed(1)} s, ` +
      `${Math.round(job.succeeded / seconds)} items/s; the first were done after ${begunSeconds.toFixed(1)} s; ${machineLoad()}`,
  );
  for (const line of usageLines(meter.stop(), job.succeeded)) say(line);
  say(`    a product's update of one row meanwhile: ${distribution(updateMs)}`);
  say(`    status meanwhile: ${distribution(statusMs)}`);
}

/** The limit: as many sessions, each with statements that change as many rows by key, and nothing written down of them. */
async function benchPlain(world: World, source: pg.Pool, { say, parts, rows }: BenchOptions): Promise<void> {
  const { rows: found } = await source.query<{ id: string }>(
    'select id from documint.invoices where deleted_at is null order by id limit $1',
    [rows],
  );
  const ids = found.map(({ id }) => id);
  const meter = startMeter(world.services, parts);
  const startedMs = performance.now();
  let next = 0;
  const session = async () => {
    while (next < ids.length) {
      const chunk = ids.slice(next, next + CHUNK_ITEMS);
      next += CHUNK_ITEMS;
      await source.query('update documint.invoices set memo = $2 where id = any ($1::bigint[])', [
        chunk,
        'changed by hand',
      ]);
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, session));
  const seconds = (performance.now() - startedMs) / 1000;
  const server = meter.stop().get('postgres')?.cpuSeconds ?? 0;
  say(
    `UPDATE … WHERE id = ANY ($1), ${CHUNK_ITEMS} at a time, ${WORKERS} sessions: ${ids.length} rows in ${seconds.toFixed(1)} s, ` +
      `${Math.round(ids.length / seconds)} rows/s, ${((server / ids.length) * 1e6).toFixed(1)} µs CPU each in PostgreSQL`,
  );
  // The job shall find the table as this one did: without a dead row for each living one.
  await source.query('vacuum documint.invoices');
}

async function updateOne(source: pg.Pool, rows: number): Promise<void> {
  const id = 1 + Math.floor(Math.random() * rows);
  await source.query('update documint.invoices set tax = tax + 0.01 where id = $1', [id]);
}

/** Does the same again and again, one at a time, and says how long each took, in ms. */
function startProbe(work: () => Promise<void>, everyMs: number): { stop(): Promise<number[]> } {
  const over = new AbortController();
  const tookMs: number[] = [];
  const run = async () => {
    while (!over.signal.aborted) {
      const startedMs = performance.now();
      await work();
      tookMs.push(performance.now() - startedMs);
      await delay(everyMs);
    }
  };
  const running = run();
  return {
    async stop() {
      over.abort();
      await running;
      return tookMs;
    },
  };
}
