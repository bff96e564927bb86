import { afterAll, beforeAll, expect, test } from 'vitest';
import { createExtractorFixture, type ExtractorFixture } from '../support/extractor-fixture.ts';
import { type OwnPostgres, openOwnPostgres } from '../support/own-postgres.ts';
import { topicPrefix } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

const CATALOG = `
catalog: shop
resources:
  orders:
    table: shop.orders
    event: order
    key: [id]
    account: account_id
`;

const ROW_COUNT = 500;

const TABLES = `
create schema shop;
create table shop.orders (id integer primary key, account_id text not null);
alter table shop.orders replica identity full;
insert into shop.orders select g, 'acme' from generate_series(1, ${ROW_COUNT}) g;
analyze;`;

/** More than the runs that may end without a known reason, and fewer than the setbacks that an export may have. */
const CRASHES = 7;

const cleanup = new AsyncDisposableStack();
let server: OwnPostgres;
let fixture: ExtractorFixture;
let acme: string;

beforeAll(async () => {
  server = cleanup.use(await openOwnPostgres({ wal_level: 'logical' }));
  const place = { url: server.url('postgres'), prefix: topicPrefix() };
  fixture = cleanup.use(await createExtractorFixture(CATALOG, TABLES, place));
  acme = await fixture.addAccount('acme');
});
afterAll(() => cleanup.disposeAsync());

/** Nobody waits for the next run or attempt. What is held stays so. */
async function skipWaits(id: string): Promise<void> {
  for (const text of [
    'update exports set lease_expires_at = now() where id = $1 and lease_owner is null',
    'update export_chunks set lease_expires_at = now() where export_id = $1 and lease_owner is null',
  ]) {
    await fixture.db.query(text, [id]);
  }
}

async function readRun(id: string) {
  await skipWaits(id);
  const { rows } = await fixture.db.query<{ run: number; error: unknown; isReading: boolean }>(
    `select e.run_attempt as run, e.error, exists (
       select from export_chunks c where c.export_id = e.id and c.run_attempt = e.run_attempt
         and c.state = 'reading' and c.lease_expires_at > now()) as "isReading"
     from exports e where e.id = $1`,
    [id],
  );
  return rows[0];
}

test.each(['single', 'chunked'])(
  'a %s export outlasts crashes of the server that is its source and the control store',
  async (snapshot) => {
    const end = await fixture.startExtractor();
    // Slower than any machine, so that no chunk is read before the last crash.
    const id = await fixture.addExport(acme, ['orders'], { snapshot, max_rows_per_second: 1 });
    const readingIn = (before: number) =>
      waitFor('the next run to read', async () => {
        // Nothing responds while the server starts again.
        const found = await readRun(id).catch(() => undefined);
        expect(found?.error ?? null).toBeNull();
        return found?.isReading && found.run > before ? found.run : undefined;
      });
    let run = 0;
    for (let crash = 0; crash < CRASHES; crash += 1) {
      run = await readingIn(run);
      await server.crash();
      await server.start();
    }
    await readingIn(run);
    await fixture.db.query("update exports set request = request - 'max_rows_per_second' where id = $1", [
      id,
    ]);
    await server.crash();
    await server.start();
    const row = await waitFor('the export to be extracted', async () => {
      await skipWaits(id);
      await fixture.seal();
      const found = await fixture.readExport(id);
      return found.status !== 'running' || found.phase === 'assembling' ? found : undefined;
    });
    expect(row).toMatchObject({ error: null, rows_extracted: String(ROW_COUNT) });
    expect(await fixture.keptRows(id)).toHaveLength(ROW_COUNT);
    await end();
  },
);
