import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createExtractorFixture, type ExtractorFixture } from '../../support/extractor-fixture.ts';
import { type OwnPostgres, openOwnPostgres } from '../../support/own-postgres.ts';
import { topicPrefix } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

const CATALOG = `
catalog: shop
resources:
  orders:
    table: shop.orders
    event: order
    key: [id]
    account: account_id
`;

const ROW_COUNT = 20_000;

const TABLES = `
create schema shop;
create table shop.orders (id bigint primary key, account_id text not null, note text);
alter table shop.orders replica identity full;
insert into shop.orders select g, 'acme', repeat('x', 200) || g from generate_series(1, ${ROW_COUNT}) g;
analyze;`;

let primary: OwnPostgres;
let replica: OwnPostgres;
let fixture: ExtractorFixture;
let acme: string;
const cleanup = new AsyncDisposableStack();

beforeAll(async () => {
  primary = cleanup.use(await openOwnPostgres());
  replica = cleanup.use(await primary.openStandby());
  fixture = cleanup.use(
    await createExtractorFixture(CATALOG, TABLES, { url: primary.url('postgres'), prefix: topicPrefix() }),
  );
  acme = await fixture.addAccount('acme');
  await fixture.startExtractor({
    EXTRACTOR_CHUNK_BYTES: '500000',
    SOURCE_READ_URL: replica.url('postgres'),
  });
});

afterAll(() => cleanup.disposeAsync());

async function onReplica(sql: string): Promise<Record<string, string>[]> {
  const client = new pg.Client({ connectionString: replica.url('postgres') });
  await client.connect();
  try {
    return (await client.query<Record<string, string>>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** Rows of the table that the server's sessions have read, once those that ended have told. */
const readsOnPrimary = async (): Promise<number> => {
  await fixture.db.query('select pg_stat_force_next_flush()');
  const { rows } = await fixture.db.query<{ n: string }>(
    `select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) as n
     from pg_stat_user_tables where relid = 'shop.orders'::regclass`,
  );
  return Number(rows[0]?.n);
};

async function exported(): Promise<{ id: string; readLsns: (string | null)[] }> {
  const id = await fixture.addExport(acme, ['orders'], { snapshot: 'chunked' });
  const row = await waitFor('the export to be extracted', async () => {
    await fixture.seal();
    const found = await fixture.readExport(id);
    return found.phase === 'assembling' || found.phase === 'done' ? found : undefined;
  });
  expect(row).toMatchObject({ phase: 'assembling', rows_extracted: String(ROW_COUNT) });
  const { rows } = await fixture.db.query<{ read_lsn: string | null }>(
    'select read_lsn::text from export_chunks where export_id = $1 order by chunk',
    [id],
  );
  await fixture.db.query(
    "/* arranged */ update exports set status = 'completed', phase = 'done' where id = $1",
    [id],
  );
  return { id, readLsns: rows.map((chunk) => chunk.read_lsn) };
}

test('a chunked export reads its rows from the replica, and none from the primary', async () => {
  const before = await readsOnPrimary();
  const { id, readLsns } = await exported();
  expect(readLsns.length).toBeGreaterThan(2);
  expect(readLsns).toEqual(readLsns.map(() => expect.any(String)));
  expect(await readsOnPrimary()).toBe(before);
  const rows = await fixture.keptRows(id);
  expect(rows.map(({ value }) => Number(value.id))).toEqual(
    Array.from({ length: ROW_COUNT }, (_, i) => i + 1),
  );
});

test('a replica that has not replayed enough is passed over, and one that is gone', async () => {
  const before = await readsOnPrimary();
  await onReplica('select pg_wal_replay_pause()');
  await fixture.db.query("update shop.orders set note = 'behind the replica' where id = 7");
  const behind = await exported();
  expect(behind.readLsns).toEqual(behind.readLsns.map(() => null));
  const rows = await fixture.keptRows(behind.id);
  expect(rows.find(({ value }) => Number(value.id) === 7)?.value.note).toBe('behind the replica');
  await waitFor('the reads to be counted', async () => (await readsOnPrimary()) >= before + ROW_COUNT);
  await onReplica('select pg_wal_replay_resume()');
  await replica.stop();
  const gone = await exported();
  expect(gone.readLsns).toEqual(gone.readLsns.map(() => null));
});
