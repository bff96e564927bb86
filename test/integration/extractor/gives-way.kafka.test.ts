import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MAX_GIVE_WAYS } from '../../../services/extractor/extraction-errors.ts';
import { createExtractorFixture, type ExtractorFixture } from '../../support/extractor-fixture.ts';
import { waitFor } from '../../support/wait-for.ts';

const CATALOG = `
catalog: shop
resources:
  orders: { table: shop.orders, event: order, key: [id], account: account_id }
  deals: { table: shop.deals, event: deal, key: [id], account: account_id, fields: { no: id, remark: note } }
`;

const ROW_COUNT = 4_000;

const TABLES = `
create schema shop;
create table shop.orders (id bigint primary key, account_id text not null, note text);
alter table shop.orders replica identity full;
insert into shop.orders select g, 'acme', repeat('x', 200) from generate_series(1, ${ROW_COUNT}) g;
create table shop.deals (like shop.orders including all);
alter table shop.deals replica identity full;
insert into shop.deals select * from shop.orders;
analyze;`;

/** Many chunks, and none of them read by this process. */
const HOLDER_ONLY = { EXTRACTOR_CHUNK_BYTES: '100000', EXTRACTOR_MAX_CHUNKS: '0' };

let fixture: ExtractorFixture;
let acme: string;
/** The product's own session: no lock_timeout, as a migration has it. */
let product: pg.Client;

beforeAll(async () => {
  fixture = await createExtractorFixture(CATALOG, TABLES);
  acme = await fixture.addAccount('acme', { maxRunning: 10 });
  product = new pg.Client({ connectionString: fixture.env.DATABASE_URL });
  await product.connect();
});

afterAll(async () => {
  await product?.end();
  await fixture?.[Symbol.asyncDispose]();
});

const isHeld = async (id: string, run: number) => {
  const { rowCount } = await fixture.db.query(
    `select from export_chunks c join exports e on e.id = c.export_id
     where e.id = $1 and e.run_count + e.gave_way_runs = $2 and c.run_attempt = e.run_attempt limit 1`,
    [id, run],
  );
  return rowCount === 1;
};

/** A wait that ends by itself only when the lock is let go: an export that nobody reads stands for ever. */
const PATIENCE = "set lock_timeout = '15s'";

test('an export gives way to an ALTER TABLE and to who waits behind it, and is begun again', async () => {
  const endHolder = await fixture.startExtractor(HOLDER_ONLY);
  const id = await fixture.addExport(acme, ['orders']);
  await waitFor('the export to be held', () => isHeld(id, 1));
  await product.query(PATIENCE);
  const reader = fixture.db.query(`select pg_sleep(0.2); ${PATIENCE}; select from shop.orders where id = 7`);
  await product.query('alter table shop.orders add column colour text');
  await reader;
  await waitFor('the export to be held again', () => isHeld(id, 2));
  const endReader = await fixture.startExtractor({ EXTRACTOR_MAX_EXPORTS: '0' });
  const row = await waitFor('the export to be extracted', async () => {
    await fixture.seal();
    const standing = await fixture.readExport(id);
    return standing.phase === 'assembling' ? standing : undefined;
  });
  expect(row).toMatchObject({
    run_count: 1,
    gave_way_runs: 1,
    rows_extracted: String(ROW_COUNT),
    error: null,
  });
  await endReader();
  await endHolder();
});

test('a migration that goes on and on fails the export as table_locked', async () => {
  const endHolder = await fixture.startExtractor(HOLDER_ONLY);
  const id = await fixture.addExport(acme, ['orders']);
  await product.query(PATIENCE);
  for (const run of [1, 2, 3]) {
    await waitFor(`run ${run} to be held`, () => isHeld(id, run));
    await product.query(`alter table shop.orders alter colour set default 'c${run}'`);
    // The next run is not waited for as long as it would be.
    await waitFor(`run ${run} to be let go`, async () => {
      const { rowCount } = await fixture.db.query(
        `update exports set lease_expires_at = now() where id = $1 and lease_owner is null`,
        [id],
      );
      return rowCount === 1 || (await fixture.readExport(id)).status === 'failed';
    });
  }
  const row = await waitFor('the export to fail', async () => {
    const standing = await fixture.readExport(id);
    return standing.status === 'failed' ? standing : undefined;
  });
  expect(row.error?.code).toBe('table_locked');
  await endHolder();
});

/** Chunks of a thousand rows, one after the other. */
async function startReading(resource: string): Promise<string> {
  const id = await fixture.addExport(acme, [resource], { snapshot: 'chunked', max_rows_per_second: 1_000 });
  await waitFor('a chunk to be read', async () => {
    const { rowCount } = await fixture.db.query(
      "select from export_chunks where export_id = $1 and state = 'extracted' limit 1",
      [id],
    );
    return rowCount === 1;
  });
  return id;
}

/** A chunk that waits is claimed again as soon as it may be. */
const claimAtOnce = (id: string) =>
  fixture.db.query(
    `update export_chunks set lease_expires_at = now()
     where export_id = $1 and state = 'planned' and lease_owner is null and lease_expires_at > now()`,
    [id],
  );

async function ended(id: string) {
  return waitFor(
    'the export to be extracted, or to fail',
    async () => {
      await claimAtOnce(id);
      await fixture.seal();
      const standing = await fixture.readExport(id);
      return standing.error !== null || standing.phase === 'assembling' ? standing : undefined;
    },
    120_000,
  );
}

/** An export of a table that is locked since its first chunk was read, so slowly that the chunk was not read by then. */
async function startAndLock(): Promise<string> {
  const id = await fixture.addExport(acme, ['orders'], { snapshot: 'chunked', max_rows_per_second: 10 });
  await waitFor('a chunk to be read', async () => {
    const { rowCount } = await fixture.db.query(
      "select from export_chunks where export_id = $1 and state = 'reading' limit 1",
      [id],
    );
    return rowCount === 1;
  });
  await product.query(`${PATIENCE}; begin; lock table shop.orders in access exclusive mode`);
  await fixture.db.query("update exports set request = request - 'max_rows_per_second' where id = $1", [id]);
  return id;
}

const gaveWayCount = async (id: string) => {
  const { rows } = await fixture.db.query<{ count: number }>(
    'select max(gave_way) as count from export_chunks where export_id = $1',
    [id],
  );
  return rows[0]?.count ?? 0;
};

describe('a table that is altered while rows are read chunk by chunk', () => {
  let endExtractor: () => Promise<void>;

  beforeAll(async () => {
    endExtractor = await fixture.startExtractor({
      EXTRACTOR_CHUNK_BYTES: '1',
      EXTRACTOR_CHUNK_WINDOW: '1',
      EXTRACTOR_MAX_CHUNKS: '1',
    });
  });

  afterAll(() => endExtractor?.());

  async function readUnderOneSnapshot(id: string) {
    expect(await ended(id)).toMatchObject({
      error: null,
      snapshot_kind: 'single',
      snapshot_reason: expect.stringContaining('altered while its rows were read'),
    });
    const rows = await fixture.keptRows(id);
    expect(rows).toHaveLength(ROW_COUNT);
    return rows;
  }

  test('is read again as it is now, also by the process that had read of it before', async () => {
    const id = await startReading('orders');
    await product.query("alter table shop.orders add column size text default 'large'");
    const rows = await readUnderOneSnapshot(id);
    expect(new Set(rows.map(({ value }) => value.size))).toEqual(new Set(['large']));
  });

  test('is read again once the catalog fits it, if it lost a column', async () => {
    const id = await startReading('deals');
    await product.query('alter table shop.deals rename note to remark');
    await waitFor('the reading to be given up', async () => {
      const { rows } = await fixture.db.query('select snapshot_kind, error from exports where id = $1', [id]);
      expect(rows[0].error).toBeNull();
      return rows[0].snapshot_kind === 'single';
    });
    await product.query('alter table shop.deals rename remark to note');
    await readUnderOneSnapshot(id);
  });

  test('is waited for while it is locked, and then the reading goes on', async () => {
    const id = await startAndLock();
    await waitFor('its chunk to give way again and again', async () => {
      await claimAtOnce(id);
      return (await gaveWayCount(id)) > MAX_GIVE_WAYS;
    });
    await product.query('commit');
    expect(await ended(id)).toMatchObject({ error: null, snapshot_kind: 'chunked' });
    expect(await fixture.keptRows(id)).toHaveLength(ROW_COUNT);
  });
});

test('a chunked export waits for a table that is locked before it begins, and counts no run for it', async () => {
  const end = await fixture.startExtractor();
  await product.query('begin; lock table shop.orders in access exclusive mode');
  const id = await fixture.addExport(acme, ['orders'], { snapshot: 'chunked' });
  // As if more runs had given way than may of another export.
  await fixture.db.query('update exports set gave_way_runs = $2 where id = $1', [id, MAX_GIVE_WAYS]);
  await waitFor('a run to give way', async () => {
    const { rows } = await fixture.db.query('select gave_way_runs, error from exports where id = $1', [id]);
    expect(rows[0].error).toBeNull();
    return rows[0].gave_way_runs > MAX_GIVE_WAYS;
  });
  await product.query('commit');
  await fixture.db.query('update exports set lease_expires_at = now() where id = $1', [id]);
  expect(await ended(id)).toMatchObject({ error: null, snapshot_kind: 'chunked', run_count: 1 });
  expect(await fixture.keptRows(id)).toHaveLength(ROW_COUNT);
  await end();
});

test('an export that is read chunk by chunk may take longer than a snapshot may be held, and a table that is locked longer fails it', async () => {
  const end = await fixture.startExtractor({
    EXTRACTOR_CHUNK_BYTES: '1',
    EXTRACTOR_EXPORT_TIMEOUT_MS: '1000',
  });
  const slow = await startReading('orders');
  // With this limit of rows a second it takes some seconds.
  expect(await ended(slow)).toMatchObject({ error: null, snapshot_kind: 'chunked' });
  const locked = await startAndLock();
  expect(await ended(locked)).toMatchObject({ error: { code: 'table_locked' }, snapshot_kind: 'chunked' });
  await product.query('commit');
  await end();
});
