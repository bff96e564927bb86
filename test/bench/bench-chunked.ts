import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { startTraffic } from '../../deploy/demo/traffic.ts';
import { type Customer, openWorld, type World } from '../../deploy/demo/world.ts';
import type { BenchOptions } from './bench-exports.ts';
import { timedExport } from './bench-small-exports.ts';
import { machineLoad } from './machine-load.ts';
import { startMeter, usageLines } from './usage-table.ts';

const KINDS = ['single', 'chunked'] as const;

const WRITES_PER_SECOND = 500;
const WRITERS = 8;

const EXPORT_LIMIT_MS = 3_600_000;

/** Shorter than the read of a chunk takes on any machine. */
const SAMPLE_EVERY_MS = 50;
const VACUUM_EVERY_MS = 2_000;

/** What chunked exports promise: no transaction that is held for longer, and without load at least this share of the other's rate. */
const LONGEST_SECONDS = 10;
const LEAST_RATE = 0.85;

/**
 * One export of all invoices of an account under one snapshot and chunk by chunk, on a quiet source and under writes: how long it
 * takes, what it keeps from VACUUM, and what the records cost that changed meanwhile.
 */
export async function benchChunked(options: BenchOptions): Promise<void> {
  await using world = await openWorld({
    stack: options.stack,
    directory: options.directory,
    rows: options.rows,
    accounts: 1,
    services: {
      api: 1,
      extractor: options.copies,
      writer: options.copies,
      capture: 1,
      dispatcher: options.copies,
    },
    log: options.log,
  });
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  // Connects everything to everything.
  await timedExport(customer, { resource: 'customers', fields: ['id'] }, EXPORT_LIMIT_MS);
  for (const perSecond of [0, WRITES_PER_SECOND]) {
    const rates = { single: 0, chunked: 0 };
    let longestSeconds = 0;
    // Of two each, because the first one of all warms everything up.
    for (const kind of [...KINDS, ...KINDS]) {
      const measured = await measure(world, customer, { kind, perSecond }, options);
      rates[kind] = Math.max(rates[kind], measured.rowsPerSecond);
      if (kind === 'chunked') longestSeconds = Math.max(longestSeconds, measured.longestSeconds);
    }
    options.say(boundsLine(rates.chunked / rates.single, longestSeconds, perSecond === 0));
  }
}

function boundsLine(share: number, longestSeconds: number, isQuiet: boolean): string {
  const within = (isWithin: boolean) => (isWithin ? 'within' : 'BEYOND');
  const ofRate = isQuiet ? `, ${within(share >= LEAST_RATE)} the bound of ${LEAST_RATE * 100} %` : '';
  return (
    `chunked: ${Math.round(share * 100)} % of the rows/s of single${ofRate}; longest transaction ${longestSeconds.toFixed(2)} s, ` +
    `${within(longestSeconds <= LONGEST_SECONDS)} the bound of ${LONGEST_SECONDS} s`
  );
}

interface Measured {
  readonly rowsPerSecond: number;
  readonly longestSeconds: number;
}

async function measure(
  world: World,
  customer: Customer,
  { kind, perSecond }: { kind: (typeof KINDS)[number]; perSecond: number },
  { parts, say }: BenchOptions,
): Promise<Measured> {
  await using cleanup = new AsyncDisposableStack();
  const traffic =
    perSecond === 0
      ? undefined
      : await startTraffic({
          databaseUrl: world.sourceUrl,
          accounts: world.generated.accounts,
          perSecond,
          connections: WRITERS,
          seed: 1,
        });
  cleanup.defer(async () => void (await traffic?.stop()));
  const source = cleanup.use(await watchSource(world.sourceUrl));
  const overlay = cleanup.use(await watchOverlay(world.controlUrl));
  const meter = startMeter(world.services, parts);
  const commitsBefore = traffic?.counts.commits ?? 0;
  const { view, seconds } = await timedExport(
    customer,
    { resource: 'invoices', include_deleted: true, snapshot: kind },
    EXPORT_LIMIT_MS,
  );
  const commits = (traffic?.counts.commits ?? 0) - commitsBefore;
  const usage = meter.stop();
  const { longestSeconds, xminAge, deadRows } = await source.stop();
  const { changedCount, seconds: overlaySeconds } = await overlay.stop();
  const rows = view.files?.[0]?.rows ?? 0;
  const how =
    view.snapshot?.kind === kind
      ? kind
      : `${kind}, read again as ${view.snapshot?.kind} (${view.snapshot?.reason})`;
  say(
    `${how}, ${Math.round(commits / seconds)} transactions/s beside it: ${rows} invoices in ${seconds.toFixed(1)} s, ` +
      `${Math.round(rows / seconds)} rows/s; longest transaction ${longestSeconds.toFixed(2)} s, xmin up to ${xminAge} ` +
      `transactions old, up to ${deadRows} dead rows left by VACUUM; ${machineLoad()}`,
  );
  if (changedCount > 0) {
    const each = Math.round((overlaySeconds / changedCount) * 1e6);
    say(
      `${changedCount} changed records put among the rows that were read in ${overlaySeconds.toFixed(1)} s, ${each} µs each`,
    );
  }
  for (const line of usageLines(usage, rows)) say(line);
  return { rowsPerSecond: rows / seconds, longestSeconds };
}

/** From the seal's arrival, when the events are complete, until the writer may take the export. Keys are swept soon after it. */
const OVERLAY = `
select (select count(*) from tandem.export_keys k where k.export_id = e.id)::float8 as changed,
  e.sealed_lsn is not null as is_sealed, e.planned_at is not null as is_over
from tandem.exports e where e.id <> all ($1) order by e.created_at desc limit 1`;

interface Overlay {
  readonly changedCount: number;
  readonly seconds: number;
}

/** Of the first export that is made from now on, at 50 ms exact. */
async function watchOverlay(url: string): Promise<AsyncDisposable & { stop(): Promise<Overlay> }> {
  const control = new pg.Client({ connectionString: url });
  await control.connect();
  const before = (await control.query<{ id: string }>('select id from tandem.exports')).rows.map(
    ({ id }) => id,
  );
  let changedCount = 0;
  let [sealedMs, overMs] = [Infinity, Infinity];
  const ended = new AbortController();
  const work = (async () => {
    while (!ended.signal.aborted) {
      const [found] = (
        await control.query<{ changed: number; is_sealed: boolean; is_over: boolean }>(OVERLAY, [before])
      ).rows;
      changedCount = Math.max(changedCount, found?.changed ?? 0);
      if (found?.is_sealed === true) sealedMs = Math.min(sealedMs, performance.now());
      if (found?.is_over === true) overMs = Math.min(overMs, performance.now());
      await delay(SAMPLE_EVERY_MS, undefined, { signal: ended.signal }).catch(() => undefined);
    }
  })();
  let stopped: Promise<Overlay> | undefined;
  const stop = () => {
    stopped ??= (async () => {
      ended.abort();
      await work.finally(() => control.end());
      return { changedCount, seconds: Math.max(0, overMs - sealedMs) / 1_000 };
    })();
    return stopped;
  };
  return { stop, [Symbol.asyncDispose]: async () => void (await stop()) };
}

/** What Tandem's extractors hold on the source, at its worst. */
interface Held {
  longestSeconds: number;
  xminAge: number;
  /** Of the invoices, right after a VACUUM. */
  deadRows: number;
}

const HELD = `
select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8 as seconds,
  coalesce(max(age(backend_xmin)), 0)::float8 as xmin_age
from pg_stat_activity
where datname = current_database() and application_name like 'tandem extractor %' and backend_xmin is not null`;

const DEAD_ROWS = `
select n_dead_tup::float8 as dead from pg_stat_user_tables where relid = 'documint.invoices'::regclass`;

async function watchSource(url: string): Promise<AsyncDisposable & { stop(): Promise<Held> }> {
  const sampler = new pg.Client({ connectionString: url });
  const cleaner = new pg.Client({ connectionString: url });
  await Promise.all([sampler.connect(), cleaner.connect()]);
  const held: Held = { longestSeconds: 0, xminAge: 0, deadRows: 0 };
  const ended = new AbortController();
  const repeat = async (everyMs: number, act: () => Promise<void>) => {
    while (!ended.signal.aborted) {
      await act();
      await delay(everyMs, undefined, { signal: ended.signal }).catch(() => undefined);
    }
  };
  const work = Promise.all([
    repeat(SAMPLE_EVERY_MS, async () => {
      const [found] = (await sampler.query<{ seconds: number; xmin_age: number }>(HELD)).rows;
      held.longestSeconds = Math.max(held.longestSeconds, found?.seconds ?? 0);
      held.xminAge = Math.max(held.xminAge, found?.xmin_age ?? 0);
    }),
    repeat(VACUUM_EVERY_MS, async () => {
      await cleaner.query('vacuum documint.invoices');
      const [found] = (await cleaner.query<{ dead: number }>(DEAD_ROWS)).rows;
      held.deadRows = Math.max(held.deadRows, found?.dead ?? 0);
    }),
  ]);
  let stopped: Promise<Held> | undefined;
  const stop = () => {
    stopped ??= (async () => {
      ended.abort();
      try {
        await work;
      } finally {
        await Promise.all([sampler.end(), cleaner.end()]);
      }
      return held;
    })();
    return stopped;
  };
  return { stop, [Symbol.asyncDispose]: async () => void (await stop()) };
}
