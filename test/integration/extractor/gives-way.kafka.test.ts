import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createExtractorFixture, type ExtractorFixture } from '../../support/extractor-fixture.ts';
import { waitFor } from '../../support/wait-for.ts';

const CATALOG = `
catalog: shop
resources:
  orders: { table: shop.orders, event: order, key: [id], account: account_id }
`;

const ROW_COUNT = 4_000;

const TABLES = `
create schema shop;
create table shop.orders (id bigint primary key, account_id text not null, note text);
alter table shop.orders replica identity full;
insert into shop.orders select g, 'acme', repeat('x', 200) from generate_series(1, ${ROW_COUNT}) g;
analyze;`;

/** Many chunks, and none of them read by this process. */
const HOLDER_ONLY = { EXTRACTOR_CHUNK_BYTES: '100000', EXTRACTOR_MAX_CHUNKS: '0' };

let fixture: ExtractorFixture;
let acme: string;
/** The product's own session: no lock_timeout, as a migration has it. */
let product: pg.Client;

beforeAll(async () => {
  fixture = await createExtractorFixture(CATALOG, TABLES);
  acme = await fixture.addAccount('acme');
  product = new pg.Client({ connectionString: fixture.env.DATABASE_URL });
  await product.connect();
});

afterAll(async () => {
  await product?.end();
  await fixture?.[Symbol.asyncDispose]();
});

const isHeld = async (id: string, runCount: number) => {
  const { rowCount } = await fixture.db.query(
    `select from export_chunks c join exports e on e.id = c.export_id
     where e.id = $1 and e.run_count = $2 and c.run_attempt = e.run_attempt limit 1`,
    [id, runCount],
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
  await waitFor('the export to be held again', () => isHeld(id, 2), 30_000);
  const endReader = await fixture.startExtractor({ EXTRACTOR_MAX_EXPORTS: '0' });
  const row = await waitFor(
    'the export to be extracted',
    async () => {
      await fixture.seal();
      const standing = await fixture.readExport(id);
      return standing.phase === 'assembling' ? standing : undefined;
    },
    60_000,
  );
  expect(row).toMatchObject({ run_count: 2, rows_extracted: String(ROW_COUNT), error: null });
  await endReader();
  await endHolder();
});

test('a migration that goes on and on fails the export as table_locked', async () => {
  const endHolder = await fixture.startExtractor(HOLDER_ONLY);
  const id = await fixture.addExport(acme, ['orders']);
  await product.query(PATIENCE);
  for (const run of [1, 2, 3]) {
    await waitFor(`run ${run} to be held`, () => isHeld(id, run), 30_000);
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
