import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { prepareSource } from '../../../deploy/cli/prepare-source.ts';
import { createScratchDatabase } from '../../../deploy/local/scratch-database.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { type CaptureWorld, createCaptureWorld } from '../../support/capture-world.ts';
import { openOwnPostgres } from '../../support/own-postgres.ts';
import { openProductPool } from '../../support/product-pool.ts';
import { waitFor } from '../../support/wait-for.ts';

const SCHEMA = `
  create schema app;
  create table app.items (id bigint primary key, account_id text not null);
  create table app.notes (id bigint primary key, account_id text not null);
`;

const CATALOG = `
catalog: moved
resources:
  items: { table: app.items, event: item, key: [id], account: account_id }
  notes: { table: app.notes, event: note, key: [id], account: account_id }
`;

const PARTITIONS = 12;

const cleanup = new AsyncDisposableStack();
let world: CaptureWorld;
/** The product on another cluster, as after `pg_upgrade` or a dump. */
let moved: pg.Pool;
let movedUrl: string;

beforeAll(async () => {
  const [former, other] = await Promise.all([openOwnPostgres(), openOwnPostgres()]);
  cleanup.use(former);
  cleanup.use(other);
  world = cleanup.use(
    await createCaptureWorld({ schemaSql: SCHEMA, catalog: CATALOG, serverUrl: former.url('postgres') }),
  );
  // Ahead of a new cluster by more than a segment of WAL, as any cluster is that was used for a while.
  for (let segment = 0; segment < 3; segment += 1) {
    await world.pool.query(`select pg_logical_emit_message(false, 'filler', 'x'), pg_switch_wal()`);
  }
  const database = cleanup.use(await createScratchDatabase(other.url('postgres'), 'moved'));
  movedUrl = database.url;
  moved = cleanup.adopt(openProductPool({ connectionString: movedUrl, max: 2 }), (each) => each.end());
  await moved.query(SCHEMA);
  const names = { publication: world.prefix, slot: world.prefix };
  await prepareSource(moved, parseCatalog(CATALOG, 'catalog.yaml'), names);
});
afterAll(() => cleanup.disposeAsync());

async function insertAndSee(product: pg.Pool, id: number): Promise<void> {
  await product.query(`insert into app.items values ($1, 'acme')`, [id]);
  await waitFor(`the row ${id}`, () => world.reader.changes.some(({ after }) => after?.id === String(id)));
}

async function refusal(): Promise<string> {
  const failure = await world.start({ DATABASE_URL: movedUrl }).then(
    (running) => running.stop(),
    (error: unknown) => error,
  );
  expect(failure).toMatchObject({ cause: { name: 'GapPossibleError', reason: 'other_system' } });
  return (failure as { cause: Error }).cause.message;
}

test('another cluster is refused until the former one is back, or an operator accepts the gap', async () => {
  const first = await world.start();
  await insertAndSee(world.pool, 1);
  await first.stop();
  const told = world.reader.changes.length;
  expect(await refusal()).toContain('set DATABASE_URL back');

  // The address was a mistake: the former source goes on, and nobody is told of anything.
  const again = await world.start();
  await insertAndSee(world.pool, 2);
  await again.stop();
  expect(world.reader.changes.slice(told).map(({ op }) => op)).toEqual(['insert']);

  // The product has moved.
  const accepted = /ACCEPT_GAP_AFTER=([0-9A-F/]+)/.exec(await refusal())?.[1] ?? '';
  await world.start({ DATABASE_URL: movedUrl, ACCEPT_GAP_AFTER: accepted });
  await insertAndSee(moved, 3);
  const after = world.reader.changes.slice(told + 1);
  const resets = after.filter(({ op }) => op === 'truncate');
  expect(new Set(resets.map(({ resource, resetReason }) => `${resource} ${resetReason}`))).toEqual(
    new Set(['items changes_lost', 'notes changes_lost']),
  );
  expect(resets).toHaveLength(2 * PARTITIONS);
  // Positions of a new cluster begin low, and those of the feed only grow.
  const former = world.reader.changes[told]?.commitLsn ?? 0n;
  const row = after.find(({ op }) => op === 'insert')?.commitLsn ?? 0n;
  for (const { commitLsn } of resets) {
    expect(commitLsn).toBeGreaterThan(former);
    expect(commitLsn).toBeLessThan(row);
  }
});
