import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { openWorld, type World } from '../../deploy/demo/world.ts';
import { startServices } from '../../deploy/local/supervise.ts';
import type { BenchOptions } from './bench-exports.ts';
import { openBenchReceiver } from './bench-receiver.ts';
import { distribution } from './distribution.ts';
import { machineLoad } from './machine-load.ts';
import { startMeter } from './usage-table.ts';

const IDLE_SECONDS = 20;
const LIMIT_MS = 600_000;

/** Events of single accounts, one after the other, whose endpoints are among all that rest. */
const SINGLE_EVENTS = 50;

/**
 * Many endpoints that have nothing to do: on one account, and each on an account of its own. How long one dispatcher takes to lease
 * them all, what each takes of its memory, what they cost per second at rest, and how long half of them take to move to a second
 * dispatcher and back; then events for some, and one for each.
 */
export async function benchEndpoints(options: BenchOptions): Promise<void> {
  const { endpoints, say } = options;
  for (const accounts of [1, endpoints]) {
    say(`${endpoints} endpoints on ${accounts} account${accounts === 1 ? '' : 's'}:`);
    await benchOne(accounts, options);
  }
}

async function benchOne(accounts: number, { endpoints, say, ...options }: BenchOptions): Promise<void> {
  await using world = await openWorld({
    stack: options.stack,
    directory: options.directory,
    rows: 1_000,
    accounts: 1,
    services: { api: 1, capture: 1 },
    log: options.log,
  });
  await using cleanup = new AsyncDisposableStack();
  const receiver = cleanup.use(await openBenchReceiver());
  const control = new pg.Pool({ connectionString: world.controlUrl, max: 1 });
  cleanup.defer(() => control.end());
  const source = new pg.Pool({ connectionString: world.sourceUrl, max: 1 });
  cleanup.defer(() => source.end());

  const few = await start(world, options);
  const emptyBytes = few.meter.stop().get('dispatcher')?.peakBytes ?? 0;
  await few.services.stop();
  await addEndpoints(world, control, receiver.url, { accounts, endpoints });

  const startedMs = performance.now();
  const { services } = await start(world, options);
  cleanup.use(services);
  await until('all endpoints to be held', async () => (await heldBy(control))[0] === endpoints);
  const heldSeconds = (performance.now() - startedMs) / 1_000;
  // Each reads the log once when it is taken.
  await untilQuiet(control);
  const before = await transactions(control);
  const ownersBefore = await ownersOf(control);
  const meter = startMeter(services, options.parts);
  await delay(IDLE_SECONDS * 1_000);
  const usage = meter.stop();
  const perSecond = ((await transactions(control)) - before) / IDLE_SECONDS;
  const owners = await ownersOf(control);
  const movedCount = [...owners].filter(([id, owner]) => ownersBefore.get(id) !== owner).length;
  const dispatcher = usage.get('dispatcher');
  const cpuShare = (name: string) => (100 * (usage.get(name)?.cpuSeconds ?? 0)) / IDLE_SECONDS;
  const bytesEach = ((dispatcher?.peakBytes ?? 0) - emptyBytes) / endpoints;
  say(
    `  held by one dispatcher after ${heldSeconds.toFixed(1)} s; ${(bytesEach / 1_024).toFixed(1)} kB each beside ` +
      `${Math.round(emptyBytes / 2 ** 20)} MB; ${machineLoad()}`,
  );
  say(
    `  at rest: ${perSecond.toFixed(0)} transactions a second on the control store, ${movedCount} leases changed ` +
      `hands, ${cpuShare('dispatcher').toFixed(1)} % of a ` +
      `processor in the dispatcher (${((cpuShare('dispatcher') * 1e4) / endpoints).toFixed(2)} µs per second each), ` +
      `${cpuShare('postgres').toFixed(1)} % in PostgreSQL`,
  );

  await benchChurn(world, control, options, endpoints, say);
  const ofAccount = (ids: readonly (string | undefined)[]) =>
    source.query(
      `insert into documint.customers (account_id, name, email, country, address)
       select account, 'n', 'n@example.com', 'DE', '{}' from unnest($1::text[]) account`,
      [ids],
    );
  const delays = () =>
    distribution(receiver.receivedMs.map((atMs, n) => atMs - (receiver.committedMs[n] ?? atMs)));
  const accountIds = accounts === 1 ? [world.generated.accounts[0]] : sourceIds(accounts);
  receiver.reset();
  await ofAccount(accountIds.slice(0, 1));
  await until('the first event', () => receiver.receivedMs.length >= endpoints / accounts);
  say(`  the first event after that: commit to receiver ${delays()}`);
  if (accounts > 1) {
    receiver.reset();
    for (let n = 0; n < SINGLE_EVENTS; n += 1) {
      await ofAccount([`many_${Math.floor((n * accounts) / SINGLE_EVENTS)}`]);
      await until('the event of one account', () => receiver.receivedMs.length > n);
    }
    say(`  events of single accounts: commit to receiver ${delays()}`);
  }

  receiver.reset();
  const sentMs = performance.now();
  const deliveries = startMeter(services, options.parts);
  await ofAccount(accountIds);
  await until('one event at every endpoint', () => receiver.receivedMs.length >= endpoints);
  const seconds = (performance.now() - sentMs) / 1_000;
  const cpuSeconds = deliveries.stop().get('dispatcher')?.cpuSeconds ?? 0;
  say(
    `  one event for each: ${seconds.toFixed(1)} s, ${Math.round(endpoints / seconds)}/s, ` +
      `${((cpuSeconds * 1e6) / endpoints).toFixed(0)} µs of CPU per delivery in the dispatcher; ` +
      `commit to receiver ${delays()}`,
  );
}

/** A second dispatcher starts and takes its half, and hands it back at its end. */
async function benchChurn(
  world: World,
  control: pg.Pool,
  options: Pick<BenchOptions, 'log' | 'directory'>,
  endpoints: number,
  say: BenchOptions['say'],
): Promise<void> {
  await using second = await startServices({
    env: world.env,
    services: { dispatcher: 1 },
    log: options.log,
    home: join(options.directory, world.prefix, 'second'),
  });
  await second.untilReady();
  const joinedMs = performance.now();
  const half = Math.floor(endpoints / 2);
  await until('a second dispatcher to hold its half', async () => (await heldBy(control))[1] === half);
  const joinSeconds = (performance.now() - joinedMs) / 1_000;
  const stoppedMs = performance.now();
  await second.stop();
  await until('all endpoints to be held by one', async () => (await heldBy(control))[0] === endpoints);
  say(
    `  ${half} endpoints moved to a second dispatcher within ${joinSeconds.toFixed(1)} s of its readiness, and back within ` +
      `${((performance.now() - stoppedMs) / 1_000).toFixed(1)} s of its SIGTERM`,
  );
}

/** How many endpoints each living dispatcher holds, most first. */
async function heldBy(control: pg.Pool): Promise<number[]> {
  const { rows } = await control.query<{ count: number }>(
    `select count(*)::int as count
       from tandem.webhooks w join tandem.dispatchers d on d.id = w.lease_owner and d.expires_at > now()
      group by w.lease_owner order by 1 desc`,
  );
  return rows.map(({ count }) => count);
}

/** Which dispatcher holds each endpoint. */
async function ownersOf(control: pg.Pool): Promise<Map<string, string | null>> {
  const { rows } = await control.query<{ id: string; owner: string | null }>(
    'select id, lease_owner as owner from tandem.webhooks',
  );
  return new Map(rows.map(({ id, owner }) => [id, owner]));
}

async function start(world: World, options: Pick<BenchOptions, 'log' | 'directory' | 'parts'>) {
  const services = await startServices({
    env: world.env,
    services: { dispatcher: 1 },
    log: options.log,
    home: join(options.directory, world.prefix, 'dispatcher'),
  });
  await services.untilReady();
  return { services, meter: startMeter(services, options.parts) };
}

const sourceIds = (accounts: number) => Array.from({ length: accounts }, (_, n) => `many_${n}`);

/** More than the API lets an account have: copies, in the control store, of one that the API made. */
async function addEndpoints(
  world: World,
  control: pg.Pool,
  url: string,
  { accounts, endpoints }: { accounts: number; endpoints: number },
): Promise<void> {
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  const { id } = await customer.client.call<{ id: string }>('POST', '/webhooks', { url: `${url}/0` });
  if (accounts > 1) {
    await control.query(
      `insert into tandem.accounts (id, name, source_id)
       select 'acct_many_' || (n - 1), s, s from unnest($1::text[]) with ordinality as m (s, n)`,
      [sourceIds(accounts)],
    );
  }
  await control.query(
    `insert into tandem.webhooks
     select (jsonb_populate_record(w, jsonb_build_object('id', w.id || '_' || n, 'lease_owner', null, 'account_id',
               case when $3::boolean then 'acct_many_' || n else w.account_id end))).*
       from tandem.webhooks w cross join generate_series(0, $2::int - 1) n where w.id = $1`,
    [id, endpoints, accounts > 1],
  );
  await control.query('delete from tandem.webhooks where id = $1', [id]);
  await control.query('analyze tandem.webhooks');
}

async function transactions(control: pg.Pool): Promise<number> {
  const { rows } = await control.query<{ count: string }>(
    'select xact_commit + xact_rollback as count from pg_stat_database where datname = current_database()',
  );
  return Number(rows[0]?.count);
}

/** Until two seconds in a row have about as many transactions, after the first reads of all endpoints. */
async function untilQuiet(control: pg.Pool): Promise<void> {
  let last = await transactions(control);
  let lastCount = Number.POSITIVE_INFINITY;
  await until('the first reads to end', async () => {
    await delay(2_000);
    const now = await transactions(control);
    const isQuiet = now - last >= lastCount * 0.8;
    [lastCount, last] = [now - last, now];
    return isQuiet;
  });
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + LIMIT_MS;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`waited ${LIMIT_MS / 1_000} s in vain: ${what}`);
    await delay(50);
  }
}
