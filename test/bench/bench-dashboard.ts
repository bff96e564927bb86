import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import pg from 'pg';
import { type Customer, openWorld, type World } from '../../deploy/demo/world.ts';
import type { BenchOptions } from './bench-exports.ts';
import { distribution } from './distribution.ts';
import { machineLoad } from './machine-load.ts';
import { startMeter } from './usage-table.ts';

const EXPORTS = 100;
const EVENTS = 100_000;
const PAGES = 500;
/** A session has three streams. */
const PAGES_OF_A_SESSION = 3;
const LOADS = 40;
const SECONDS = 15;

/** First paint, size and cost of the dashboard: 500 pages that are open on an account with 100 exports and 100,000 events. */
export async function benchDashboard({ say, ...options }: BenchOptions): Promise<void> {
  await using world = await openWorld({
    stack: options.stack,
    directory: options.directory,
    rows: 1_000,
    accounts: 1,
    services: { api: 1 },
    env: { API_REQUESTS_PER_SECOND: '100000', API_MAX_OPEN_REQUESTS: '1000' },
    log: options.log,
  });
  const [sourceId = ''] = world.generated.accounts;
  const customer = await world.createCustomer(sourceId);
  const control = new pg.Pool({ connectionString: world.controlUrl, max: 2 });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => control.end());
  const running = await fill(control, customer);

  const cookie = await enter(world, customer);
  for (const path of [
    '/dashboard',
    '/dashboard/exports',
    `/dashboard/exports/${running}`,
    '/dashboard/events',
  ]) {
    const [firstMs, wholeMs]: [number[], number[]] = [[], []];
    let text = '';
    for (let n = 0; n < LOADS + 10; n += 1) {
      const load = await loadPage(`${world.apiUrl}${path}`, cookie);
      text = load.text;
      if (n < 10) continue;
      firstMs.push(load.firstMs);
      wholeMs.push(load.wholeMs);
    }
    const files = await assetsOf(text, world.apiUrl);
    const bytes = [text, ...files].map((each) => Buffer.byteLength(each));
    const packed = [text, ...files].map((each) => gzipSync(each).length);
    const sum = (values: readonly number[]) => `${Math.round(values.reduce((a, b) => a + b, 0) / 1_000)} kB`;
    say(
      `${path.replace(running, '{id}')}: first byte ${distribution(firstMs)}; whole ${distribution(wholeMs)}; ` +
        `${sum(bytes.slice(0, 1))}, with ${files.length} files ${sum(bytes)}, with gzip ${sum(packed)}; ${machineLoad()}`,
    );
  }

  const advancing = startAdvancing(control, running);
  cleanup.defer(() => advancing.stop());
  const leave = new AbortController();
  cleanup.defer(() => leave.abort());
  let events = 0;
  for (const pages of [0, 1, PAGES]) {
    const streams = await openPages(
      world,
      customer,
      `/dashboard/exports/${running}/live`,
      pages,
      leave.signal,
      () => {
        events += 1;
      },
    );
    await delay(2_000);
    events = 0;
    const meter = startMeter(world.services, options.parts);
    const before = await statements(control);
    await delay(SECONDS * 1_000);
    const perSecond = ((await statements(control)) - before) / SECONDS;
    const cpu = meter.stop().get('api')?.cpuSeconds ?? 0;
    say(
      `${pages} open pages, ${streams} by streams: ${perSecond.toFixed(1)} transactions/s on the control store, ` +
        `${(events / SECONDS).toFixed(0)} events/s, api ${((cpu / SECONDS) * 100).toFixed(0)} % of a processor; ${machineLoad()}`,
    );
  }
}

/** 100 exports, of which one runs, and 100,000 events. @returns the one that runs */
async function fill(control: pg.Pool, { id, client }: Customer): Promise<string> {
  const made = await client.call<{ id: string }>('POST', '/exports', { resource: 'invoices' });
  const { rows } = await control.query<{ names: string }>(
    `select string_agg(quote_ident(column_name), ', ' order by ordinal_position) as names from information_schema.columns
     where table_schema = 'tandem' and table_name = 'exports' and column_name not in ('id', 'created_at') and is_generated = 'NEVER'`,
  );
  const names = rows[0]?.names ?? '';
  await control.query(
    `insert into tandem.exports (id, created_at, ${names})
     select 'exp_' || lpad(n::text, 26, '0'), created_at - n * interval '1 hour', ${names} from tandem.exports, generate_series(1, $2::int) n where id = $1`,
    [made.id, EXPORTS - 1],
  );
  await control.query(
    `update tandem.exports set status = 'cancelled', phase = 'done', completed_at = created_at where id <> $1`,
    [made.id],
  );
  await control.query(
    `update tandem.exports set status = 'running', phase = 'extracting', started_at = now(), rows_estimated = 1000000 where id = $1`,
    [made.id],
  );
  await control.query('create table tandem.events_all partition of tandem.events default');
  await control.query(
    `insert into tandem.events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
     select ('0/' || to_hex(n * 16))::pg_lsn, 0, $1, n, 'invoice.updated', 'invoices', '["' || n % 5000 || '"]',
       now() - (100000 - n) * interval '1 second',
       json_build_object('id', 'evt_' || n, 'type', 'invoice.updated', 'timestamp', now(), 'resource', 'invoices',
         'key', json_build_object('id', n % 5000), 'data', json_build_object('id', n % 5000, 'status', 'paid', 'total', '129.90'))::text
     from generate_series(1, $2::int) n`,
    [id, EVENTS],
  );
  await control.query('analyze');
  return made.id;
}

/** Moves the export each second, as a writer would. */
function startAdvancing(control: pg.Pool, id: string): { stop(): void } {
  const timer = setInterval(() => {
    void control.query(
      `update tandem.exports set rows_extracted = rows_extracted + 7000, rows_written = rows_written + 7000 where id = $1`,
      [id],
    );
  }, 1_000);
  return { stop: () => clearInterval(timer) };
}

/** Transactions so far: each statement of the api is one. Numbers of other sessions come with a delay of a second. */
async function statements(control: pg.Pool): Promise<number> {
  const { rows } = await control.query<{ count: string }>(
    'select xact_commit + xact_rollback as count from pg_stat_database where datname = current_database()',
  );
  return Number(rows[0]?.count);
}

async function enter(world: World, { id }: Customer): Promise<string> {
  const { url } = await world.operator.call<{ url: string }>(
    'POST',
    `/admin/accounts/${id}/portal-links`,
    {},
  );
  const reply = await fetch(`${world.apiUrl}/dashboard/enter`, {
    method: 'POST',
    redirect: 'manual',
    headers: { origin: world.apiUrl, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ code: new URL(url).hash.replace('#code=', '') }),
  });
  return (reply.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
}

async function loadPage(url: string, cookie: string) {
  const startMs = performance.now();
  const response = await fetch(url, { headers: { cookie } });
  const firstMs = performance.now() - startMs;
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${url}: ${response.status}`);
  return { firstMs, wholeMs: performance.now() - startMs, text };
}

/** Styles, modules with those that they import, and pictures of a page. */
async function assetsOf(page: string, origin: string): Promise<string[]> {
  const waiting = [...page.matchAll(/(?:href|src)="([^"]*\/assets\/[^"]+)"/g)].map(([, path = '']) => path);
  const found = new Map<string, string>();
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    const url = new URL(path, origin).href;
    if (found.has(url)) continue;
    const text = await (await fetch(url)).text();
    found.set(url, text);
    for (const [, name = ''] of text.matchAll(/(?:from|import) '(\.\/[^']+\.js)'/g)) {
      waiting.push(new URL(name, url).pathname);
    }
  }
  return [...found.values()];
}

/** Opens pages as browsers do, each three by one session. @returns how many got a stream */
async function openPages(
  world: World,
  customer: Customer,
  path: string,
  count: number,
  signal: AbortSignal,
  onEvent: () => void,
): Promise<number> {
  let streams = 0;
  let cookie = '';
  for (let n = 0; n < count; n += 1) {
    if (n % PAGES_OF_A_SESSION === 0) cookie = await enter(world, customer);
    const response = await fetch(`${world.apiUrl}${path}`, {
      headers: { accept: 'text/event-stream', cookie },
      signal,
    });
    if (response.status !== 200) continue;
    streams += 1;
    void listen(response, onEvent);
  }
  return streams;
}

async function listen({ body }: Response, onEvent: () => void): Promise<void> {
  try {
    for await (const _ of body ?? []) onEvent();
  } catch {
    // The pages are closed.
  }
}
