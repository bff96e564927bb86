import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { prepareSource } from '../../../deploy/cli/prepare-source.ts';
import { withSource } from '../../../deploy/cli/source-settings.ts';
import { CouldNotTellError } from '../../../deploy/cli/verify/verify-api.ts';
import { beginWithTables, openVerifySource } from '../../../deploy/cli/verify/verify-source.ts';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { type CaptureWorld, createCaptureWorld } from '../../support/capture-world.ts';
import { createExtractorFixture, type ExtractorFixture } from '../../support/extractor-fixture.ts';
import { catalogYaml, productTables } from '../../support/product-tables.ts';
import { testStack } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

let world: CaptureWorld;
let fixture: ExtractorFixture;
let names: readonly string[];
let acme: string;

const readMajor = async (url: string): Promise<number> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ server_version_num: string }>('show server_version_num');
  await client.end();
  return Math.floor(Number(rows[0]?.server_version_num) / 10_000);
};

/**
 * The product waits for no lock longer than this. Two seconds are what it waits at most where the processors keep up; a
 * machine at ten times its load takes longer for everything. An export that did not give way would hold on for a minute.
 */
const PATIENCE = "set lock_timeout = '10s'";

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: world.url });
  await client.connect();
  await client.query(PATIENCE);
  return client;
}

beforeAll(async () => {
  const tables = productTables(await readMajor(testStack().databaseUrl));
  names = Object.keys(tables);
  world = await createCaptureWorld({
    schemaSql: ['create schema shop', ...Object.values(tables)].join(';\n'),
    catalog: catalogYaml(names),
  });
  fixture = await createExtractorFixture(catalogYaml(names), '', world);
  acme = await fixture.addAccount('acme', { maxRunning: 10 });
});

afterAll(async () => {
  await fixture?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

/** Rows that an export is reading while the product changes the table beneath it. */
const ROW_COUNT = 40;

const CHANGES: readonly ((name: string, round: number) => readonly string[])[] = [
  (name, round) => [`alter table shop.${name} add column extra_${round} int`],
  (name) => [`create index by_n_of_${name} on shop.${name} (n)`, `drop index shop.by_n_of_${name}`],
  (name) => [`vacuum full shop.${name}`],
  (name) => [`truncate shop.${name} cascade`],
  (name, round) =>
    name === 'parts'
      ? [
          `create table shop.parts_${round} partition of shop.parts for values from (${round}000000) to (${round + 1}000000)`,
          `drop table shop.parts_${round}`,
        ]
      : [`alter table shop.${name} alter column n set default ${round}`],
];

/** One product's team at work on one table: its ordinary writes and, one after the other, everything that needs the whole table. */
async function work(name: string, signal: AbortSignal, onRound: (kind: number) => void): Promise<void> {
  const client = await connect();
  const columns = name === 'counted' ? 'account_id' : 'id, account_id';
  const values = name === 'counted' ? "'acme'" : "g, 'acme'";
  try {
    for (let round = 1; !signal.aborted; round += 1) {
      await client.query(
        `insert into shop.${name} (${columns}) select ${values} from generate_series(${round * 100}, ${round * 100 + ROW_COUNT}) g`,
      );
      await client.query(`update shop.${name} set n = n + 1 where account_id = 'acme'`);
      const kind = round % CHANGES.length;
      for (const sql of CHANGES[kind]?.(name, round) ?? []) {
        await client.query(sql).catch((cause: unknown) => {
          throw new Error(`${sql} was held up or refused`, { cause });
        });
      }
      onRound(kind);
    }
  } finally {
    await client.end();
  }
}

/** The product's readers, who wait behind whoever waits for the whole table. */
async function read(signal: AbortSignal): Promise<void> {
  const client = await connect();
  try {
    while (!signal.aborted) for (const name of names) await client.query(`select from shop.${name} limit 1`);
  } finally {
    await client.end();
  }
}

/** Exports of everything, all the time, which are read as slowly as they may. */
async function exportOnAndOn(signal: AbortSignal): Promise<void> {
  const hasRoom = async () => {
    if (signal.aborted) return true;
    await fixture.seal();
    await fixture.db.query(
      "/* arranged */ update exports set status = 'failed', error = '{\"code\": \"done\"}' where phase = 'assembling' and status = 'running'",
    );
    const { rows } = await fixture.db.query<{ count: number }>(
      "select count(*)::int as count from exports where status = 'pending' or lease_owner is not null",
    );
    return (rows[0]?.count ?? 0) < 2;
  };
  while (!signal.aborted) {
    await waitFor('an export to end', hasRoom, 180_000);
    if (!signal.aborted) await fixture.addExport(acme, [...names], { max_rows_per_second: 10 });
  }
}

/** What an operator runs beside, over and over. It may be told that it gave way, and nothing else. */
async function operate(signal: AbortSignal): Promise<number> {
  const catalog = parseCatalog(catalogYaml(names), 'shop.yaml');
  const publication = { publication: world.prefix };
  let done = 0;
  while (!signal.aborted) {
    try {
      await withSource(world.url, (db) => checkCatalog(db, catalog, publication));
      await withSource(world.url, (db) => prepareSource(db, catalog, publication));
      done += 1;
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
    }
    await using source = await openVerifySource(world.url);
    try {
      await beginWithTables(
        source.client,
        catalog.resources.map(({ table }) => table),
        signal,
      );
      const isOver = async () =>
        signal.aborted || ((await source.client.query('select 1')).rowCount ?? 0) < 1;
      await waitFor('the product to want a table, which ends the session', isOver, 180_000);
    } catch (error) {
      if (!signal.aborted && !(source.explain(error) instanceof CouldNotTellError)) throw error;
    }
  }
  return done;
}

test("capture starts beside a table that the product has locked, and waits in nobody's way", async () => {
  const product = await connect();
  await product.query('begin; lock table shop.parts in access exclusive mode');
  const starting = world.start();
  const isCapture = async (condition: string) => {
    const { rowCount } = await world.pool.query(
      `select from pg_stat_activity where application_name = 'tandem capture' and ${condition}`,
    );
    return rowCount !== 0;
  };
  await waitFor('capture to wait for the table', () => isCapture("wait_event_type = 'Lock'"));
  await waitFor('capture to have given up its wait', () => isCapture("state = 'idle'"));
  await product.query('commit');
  await product.end();
  const capture = await starting;
  await capture.stop();
});

test('beside a feed, exports and commands the product sees no error and waits for nobody, whatever it does', async () => {
  const capture = await world.start();
  await fixture.startExtractor();
  const stop = new AbortController();
  const rounds = new Map<string, number>();
  const changes = new Set<string>();
  const all = Promise.all([
    read(stop.signal),
    exportOnAndOn(stop.signal),
    operate(stop.signal),
    capture.ended,
    ...names.map((name) =>
      work(name, stop.signal, (kind) => {
        rounds.set(name, (rounds.get(name) ?? 0) + 1);
        changes.add(`${name} ${kind}`);
      }),
    ),
  ]);
  let failure: unknown;
  all.catch((error: unknown) => {
    failure = error;
  });
  const gaveWay = async () => {
    const { rows } = await fixture.db.query<{ code: string; count: number }>(
      `select coalesce(error->>'code', 'begun again') as code, count(*)::int as count from exports
       where error is not null or run_count > 1 or failed_runs + gave_way_runs > 0 group by 1`,
    );
    return new Map(rows.map(({ code, count }) => [code, count]));
  };
  await waitFor('every table to be changed in every way twice, with exports that gave way', async () => {
    if (failure !== undefined) throw failure;
    return (
      names.every((name) => (rounds.get(name) ?? 0) >= 2 * CHANGES.length) &&
      changes.size === names.length * CHANGES.length &&
      (await gaveWay()).size > 0
    );
  });
  // The feed is beside it all the time, and does not stand still.
  await waitFor('changes of every table', () => {
    if (failure !== undefined) throw failure;
    const told = new Set(world.reader.changes.map(({ resource }) => resource));
    return names.every((name) => told.has(name));
  });
  stop.abort();
  await capture.stop();
  const [, , operated] = await all;
  expect(operated).toBeGreaterThan(0);
  const known = ['begun again', 'done', 'table_locked', 'table_changed'];
  expect([...(await gaveWay()).keys()].filter((code) => !known.includes(code))).toEqual([]);
});
