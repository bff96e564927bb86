import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { catalogFingerprints } from '../../../shared/catalog/catalog-fingerprint.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { chunkPartition } from '../../../shared/domain/account-partition.ts';
import { isVisible } from '../../../shared/domain/snapshot.ts';
import {
  createExtractorFixture,
  type ExportRow,
  type ExtractorFixture,
} from '../../support/extractor-fixture.ts';
import { hasSubject } from '../../support/registered-subject.ts';
import { testStack } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

const CATALOG = `
catalog: shop
resources:
  orders:
    table: shop.orders
    event: order
    key: [id]
    account: account_id
    range: created_at
    soft_delete: deleted_at
    hide: [secret]
  lines:
    table: shop.lines
    event: line
    key: [order_code, position]
    account: account_id
  stock:
    table: shop.stock
    event: stock_item
    key: [id]
    account: account_id
  places: { table: shop.places, event: place, key: [id], account: account_id, range: day }
`;

const TABLES = `
create schema shop;
create table shop.orders (
  id bigint primary key, account_id text not null, total numeric(12,2), note text, secret text,
  created_at timestamptz not null, deleted_at timestamptz);
create table shop.lines (
  account_id text not null, order_code text collate "en-x-icu" not null, position integer not null, body jsonb,
  primary key (order_code, position));
create table shop.stock (id integer primary key, account_id text not null, version integer not null);
create table shop.stock_history (id integer not null, version integer not null, xid text not null);
alter table shop.orders replica identity full;
alter table shop.lines replica identity full;
alter table shop.stock replica identity full;
insert into shop.orders
select g, 'acme', g * 1.5, 'note ' || g, 'hidden', timestamptz '2026-01-01Z' + g * interval '1 minute',
  case when g % 10 = 0 then timestamptz '2026-02-01Z' end
from generate_series(1, 3500) g;
insert into shop.orders select g, 'other', 1, null, null, '2026-01-01Z', null from generate_series(4001, 4005) g;
insert into shop.lines
select 'acme', (array['a','B','c','É','e f'])[1 + g % 5] || g, p, jsonb_build_object('p', p)
from generate_series(1, 700) g, generate_series(1, 3) p;
insert into shop.stock select g, 'acme', 0 from generate_series(1, 2500) g;
insert into shop.stock_history select g, 0, pg_current_xact_id()::text from generate_series(1, 2500) g;
create type shop.place as (x int, y text);
create schema ext; create extension citext schema ext;
create table shop.places (id shop.place primary key, account_id ext.citext not null, day date not null);
alter table shop.places replica identity full;
insert into shop.places
select (g, 'p, "' || g)::shop.place, case when g % 2 = 0 then 'Places' else 'PLACES' end, date '2026-01-01' + g
from generate_series(0, 2499) g;
analyze;`;

let fixture: ExtractorFixture;
let acme: string;

beforeAll(async () => {
  fixture = await createExtractorFixture(CATALOG, TABLES);
  acme = await fixture.addAccount('acme');
  // Chunks of the smallest size, a thousand rows.
  await fixture.startExtractor({ EXTRACTOR_CHUNK_BYTES: '1' });
});

afterAll(() => fixture?.[Symbol.asyncDispose]());

/** Plays the feed until the export is the writer's, or has ended, and then the writer, so that its place is free. */
async function extracted(id: string): Promise<ExportRow> {
  const extractedRow = await waitFor(`export ${id} to be extracted`, async () => {
    await fixture.seal();
    const row = await fixture.readExport(id);
    return row.phase === 'assembling' || row.phase === 'done' ? row : undefined;
  });
  await fixture.db.query(
    "/* arranged */ update exports set status = 'completed', phase = 'done' where id = $1 and status = 'running'",
    [id],
  );
  return extractedRow;
}

test('a rows topic that was deleted under a running extractor is made again, and its export goes on', async () => {
  const kafka = new Kafka({
    brokers: testStack().kafkaBrokers.split(','),
    logLevel: logLevel.NOTHING,
  });
  const admin = kafka.admin();
  await admin.connect();
  const topic = `${fixture.env.TOPIC_PREFIX}.rows.stock`;
  await admin.deleteTopics({ topics: [topic] });
  await waitFor('the topic to be gone', async () => !(await admin.listTopics()).includes(topic));
  await admin.disconnect();
  const id = await fixture.addExport(acme, ['stock']);
  expect(await extracted(id)).toMatchObject({ phase: 'assembling', rows_extracted: '2500' });
  // As those of every service, so that two installations may share a registry.
  await waitFor('the subject of its job events', () =>
    hasSubject(testStack().schemaRegistryUrl, `${fixture.env.TOPIC_PREFIX}.tandem.jobs.ChunkExtracted`),
  );
});

test('an export has exactly its account’s rows, in key order, without hidden columns and deleted rows', async () => {
  const id = await fixture.addExport(acme, ['orders', 'lines']);
  const row = await extracted(id);
  expect(row).toMatchObject({ status: 'running', phase: 'assembling', run_count: 1, rows_extracted: '5250' });
  expect(row.planned_at).not.toBeNull();
  const rows = await fixture.keptRows(id);
  const orders = rows.filter(({ resource }) => resource === 'orders');
  expect(orders.map(({ value }) => Number(value.id))).toEqual(
    Array.from({ length: 3500 }, (_, i) => i + 1).filter((n) => n % 10 !== 0),
  );
  expect(Object.keys(orders[0]?.value ?? {})).toEqual([
    'id',
    'account_id',
    'total',
    'note',
    'created_at',
    'deleted_at',
  ]);
  expect(orders[0]).toMatchObject({
    key: '["1"]',
    value: { total: '1.50', note: 'note 1', created_at: '2026-01-01T00:01:00Z' },
    headers: { exportId: id, chunk: 0, seq: 0, account: 'acme', isLast: false },
  });
  const lines = rows.filter(({ resource }) => resource === 'lines');
  const expected = await fixture.db.query<{ key: string }>(
    'select json_build_array(order_code, position::text)::text as key from shop.lines order by order_code, position',
  );
  expect(lines.map(({ key }) => JSON.parse(key))).toEqual(expected.rows.map(({ key }) => JSON.parse(key)));
});

test('each chunk lies in one partition, numbered without gaps, with its last row marked', async () => {
  const id = await fixture.addExport(acme, ['orders']);
  await extracted(id);
  const rows = await fixture.keptRows(id);
  const chunks = Map.groupBy(rows, ({ headers }) => headers.chunk);
  expect([...chunks.values()].map((chunk) => chunk.length)).toEqual([1000, 1000, 1000, 150]);
  for (const [number, chunk] of chunks) {
    expect(new Set(chunk.map(({ partition }) => partition))).toEqual(
      new Set([chunkPartition({ exportId: id, chunk: number }, 6)]),
    );
    expect(chunk.map(({ headers }) => headers.seq)).toEqual(chunk.map((_, index) => index));
    expect(chunk.filter(({ headers }) => headers.isLast)).toEqual([chunk.at(-1)]);
  }
});

test('deleted rows are there when asked for, and a date range includes its start and not its end', async () => {
  const range = { from: '2026-01-01T01:00:00Z', to: '2026-01-01T02:00:00Z', field: 'created_at' };
  const id = await fixture.addExport(acme, ['orders'], { include_deleted: true, date_range: range });
  await extracted(id);
  const rows = await fixture.keptRows(id);
  expect(rows.map(({ value }) => Number(value.id))).toEqual(Array.from({ length: 60 }, (_, i) => i + 60));
  expect(rows[0]?.value.deleted_at).toBe('2026-02-01T00:00:00Z');
});

test('a date counts as its midnight in UTC, at both ends of a range', async () => {
  const account = await fixture.addAccount('places');
  const days = async (from: string, to: string) => {
    const range = { from, to, field: null };
    const id = await fixture.addExport(account, ['places'], { date_range: range });
    await extracted(id);
    return (await fixture.keptRows(id)).map(({ value }) => value.day);
  };
  expect(await days('2026-01-02T04:30:00Z', '2026-01-04T12:00:00Z')).toEqual(['2026-01-03', '2026-01-04']);
  expect(await days('2026-01-02T00:00:00Z', '2026-01-04T00:00:00Z')).toEqual(['2026-01-02', '2026-01-03']);
});

test('a key of a composite type is read in several chunks, and each row has its account’s one text', async () => {
  const id = await fixture.addExport(null, ['places']);
  expect(await extracted(id)).toMatchObject({ error: null, rows_extracted: '2500' });
  const rows = await fixture.keptRows(id);
  expect(new Set(rows.map(({ headers }) => headers.chunk)).size).toBe(3);
  expect(new Set(rows.map(({ key }) => key)).size).toBe(2500);
  expect(new Set(rows.map(({ headers }) => headers.account))).toEqual(new Set(['places']));
});

test('an export without rows has no chunks and goes to the writer', async () => {
  const id = await fixture.addExport(await fixture.addAccount('nobody'), ['orders', 'lines']);
  expect(await extracted(id)).toMatchObject({ phase: 'assembling', rows_extracted: '0' });
  expect(await fixture.keptRows(id)).toEqual([]);
});

test('an export of all accounts says of each row whose it is', async () => {
  const id = await fixture.addExport(null, ['orders'], { include_deleted: true });
  await extracted(id);
  const rows = await fixture.keptRows(id);
  expect(
    Object.fromEntries([...Map.groupBy(rows, (row) => row.headers.account)].map(([k, v]) => [k, v.length])),
  ).toEqual({ acme: 3500, other: 5 });
  expect(rows.every(({ headers, value }) => headers.account === value.account_id)).toBe(true);
});

test('under concurrent writes an export holds of each row the last version that its snapshot sees', async () => {
  const stop = new AbortController();
  const write = async (seed: number) => {
    for (let turn = 0; !stop.signal.aborted; turn += 1) {
      const id = 1 + ((seed * 7919 + turn * 104_729) % 2500);
      await fixture.db
        .query(
          `with written as (
           update shop.stock set version = version + 1 where id = any($1) returning id, version
         )
         insert into shop.stock_history select id, version, pg_current_xact_id()::text from written`,
          [[id, 1 + ((id + 1250) % 2500)]],
        )
        .catch((error: { code?: string }) => {
          // Two writers that take the same two rows the other way round.
          if (error.code !== '40P01') throw error;
        });
    }
  };
  const writers = [1, 2, 3].map(write);
  const ids = [await fixture.addExport(acme, ['stock']), await fixture.addExport(acme, ['stock'])];
  try {
    for (const id of ids) await extracted(id);
  } finally {
    stop.abort();
    await Promise.all(writers);
  }
  for (const id of ids) {
    const { snapshot } = await fixture.readExport(id);
    if (snapshot === null) throw new Error('no snapshot');
    const visible = {
      xmin: BigInt(snapshot.xmin),
      xmax: BigInt(snapshot.xmax),
      xip: snapshot.xip.map(BigInt),
    };
    const history = await fixture.db.query<{ id: number; version: number; xid: string }>(
      'select * from shop.stock_history',
    );
    const expected = new Map<number, number>();
    for (const row of history.rows) {
      if (isVisible(BigInt(row.xid), visible)) {
        expected.set(row.id, Math.max(row.version, expected.get(row.id) ?? 0));
      }
    }
    const rows = await fixture.keptRows(id);
    expect(new Map(rows.map(({ value }) => [value.id, value.version]))).toEqual(expected);
  }
});

test('more exports than the account may run wait their turn, and another account’s does not wait for them', async () => {
  const one = await fixture.addAccount('one', { maxRunning: 1 });
  const two = await fixture.addAccount('two');
  const first = await fixture.addExport(one, ['orders']);
  const second = await fixture.addExport(one, ['orders']);
  const other = await fixture.addExport(two, ['orders']);
  await waitFor('the other account’s export to run', async () => {
    const running = await fixture.readExport(other);
    return running.seal_token;
  });
  expect((await fixture.readExport(first)).status).toBe('running');
  expect((await fixture.readExport(second)).status).toBe('pending');
  await extracted(first);
  expect(await extracted(second)).toMatchObject({ phase: 'assembling' });
});

test('a cancelled export lets its snapshot go and ends', async () => {
  const id = await fixture.addExport(acme, ['orders']);
  await waitFor('the seal to be sent', async () => (await fixture.readExport(id)).rows_extracted === '3150');
  await fixture.db.query("/* arranged */ update exports set status = 'cancelling' where id = $1", [id]);
  await waitFor(
    'the export to be cancelled',
    async () => (await fixture.readExport(id)).status === 'cancelled',
  );
  const sessions = await fixture.db.query(
    "select from pg_stat_activity where application_name like 'tandem extractor %' || $1 and state <> 'idle'",
    [id],
  );
  expect(sessions.rowCount).toBe(0);
  const messages = await fixture.db.query('select type from outbox where key = $1 order by id', [id]);
  expect(messages.rows.map(({ type }) => type)).toEqual(['JobStarted', 'JobCancelled']);
});

test('the first export of an account notes from where on its changes are recorded', async () => {
  const before = await fixture.db.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
  const account = await fixture.addAccount('fresh');
  const id = await fixture.addExport(account, ['orders']);
  await extracted(id);
  const { rows } = await fixture.db.query<{ is_later: boolean }>(
    'select recorded_from_lsn >= $2::pg_lsn as is_later from accounts where id = $1',
    [account, before.rows[0]?.lsn],
  );
  expect(rows).toEqual([{ is_later: true }]);
});

test('a source session that is ended starts the export again under another snapshot', async () => {
  const id = await fixture.addExport(acme, ['orders']);
  const first = await waitFor('the chunks to be read', async () => {
    const row = await fixture.readExport(id);
    return row.rows_extracted === '3150' ? row : undefined;
  });
  await fixture.db.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tandem extractor seal ' || $1",
    [id],
  );
  await waitFor('the run to end', async () => (await fixture.readExport(id)).setback_runs === 1);
  const second = await extracted(id);
  expect(second).toMatchObject({ phase: 'assembling', run_count: 1, rows_extracted: '3150' });
  expect(second.run_attempt).toBeGreaterThan(first.attempt);
  expect(second.seal_token).not.toBe(first.seal_token);
  expect(await fixture.keptRows(id)).toHaveLength(3150);
});

test('small exports share the session of their seals, and each begins again when it ends', async () => {
  const ids = await Promise.all([1, 2, 3].map(() => fixture.addExport(acme, ['orders'], {}, 3_150)));
  for (const id of ids) {
    const isRead = async () => (await fixture.readExport(id)).rows_extracted === '3150';
    await waitFor('the chunks to be read', isRead);
  }
  const sessions = await fixture.db.query<{ name: string; count: number }>(
    `select substring(application_name from 'seals?') as name, count(*)::int from pg_stat_activity
     where application_name like 'tandem extractor seals %' or application_name = any ($1) group by 1`,
    // An earlier export's own session may be kept for some seconds.
    [ids.map((id) => `tandem extractor seal ${id}`)],
  );
  expect(sessions.rows).toEqual([{ name: 'seals', count: 1 }]);
  await fixture.db.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'tandem extractor seals %'",
  );
  for (const id of ids) {
    await waitFor('the run to end', async () => (await fixture.readExport(id)).setback_runs === 1);
    expect(await extracted(id)).toMatchObject({ phase: 'assembling', run_count: 1 });
    expect(await fixture.keptRows(id)).toHaveLength(3150);
  }
});

test.each(['single', 'chunked'])(
  'an export (%s) with other fields than capture had at its seal is begun again, until both have the same',
  async (kind) => {
    const { readExport } = fixture;
    const { resources } = parseCatalog(CATALOG, 'catalog.yaml');
    const { orders: fingerprint } = catalogFingerprints(resources);
    const said = (columns: string, since: string) =>
      fixture.db.query(
        `insert into feed_catalog (resource, fingerprint, since_lsn, columns, columns_since) values ('orders', $3, '0/0', $1, $2)
       on conflict (resource) do update set columns = excluded.columns, columns_since = excluded.columns_since`,
        [columns, since, fingerprint],
      );
    await said('other', '0/0');
    const id = await fixture.addExport(acme, ['orders'], { snapshot: kind });
    await waitFor('the run to give way', async () => {
      await fixture.seal();
      const { gave_way_runs: count, phase } = await readExport(id);
      expect(phase).not.toBe('assembling');
      return count === 1;
    });
    const { rows } = await fixture.db.query<{ columns: string }>(
      `select table_forms -> 'orders' ->> 'columns' as columns from exports where id <> $1 and table_forms ? 'orders' limit 1`,
      [id],
    );
    await said(rows[0]?.columns ?? '', '0/0');
    expect(await extracted(id)).toMatchObject({ phase: 'assembling', error: null, snapshot_kind: kind });
    // Taken up behind the seal, it was told behind the snapshot.
    await said('later', 'FFFFFFF/0');
    const next = await fixture.addExport(acme, ['orders'], { snapshot: kind });
    expect(await extracted(next)).toMatchObject({ phase: 'assembling', run_count: 1, snapshot_kind: kind });
    await fixture.db.query('delete from feed_catalog');
  },
);

test.each(['single', 'chunked'])(
  'an export (%s) of a resource that capture did not know at its seal is begun again, until capture does',
  async (kind) => {
    const { resources } = parseCatalog(CATALOG, 'catalog.yaml');
    const { orders: fingerprint } = catalogFingerprints(resources);
    const known = (resource: string, since: string) =>
      fixture.db.query(
        `insert into feed_catalog (resource, fingerprint, since_lsn) values ($1, $2, $3)
         on conflict (resource) do update set since_lsn = excluded.since_lsn`,
        [resource, fingerprint, since],
      );
    const gaveWay = async (id: string, times: number) => {
      await waitFor('the run to give way', async () => {
        await fixture.seal();
        const { gave_way_runs: count, phase } = await fixture.readExport(id);
        expect(phase).not.toBe('assembling');
        return count >= times;
      });
    };
    await known('elsewhere', '0/0');
    const id = await fixture.addExport(acme, ['orders'], { snapshot: kind });
    await gaveWay(id, 1);
    // Known since a later place than the seal: changes between the two are in no feed.
    await known('orders', 'FFFFFFF/0');
    await gaveWay(id, 2);
    await known('orders', '0/0');
    expect(await extracted(id)).toMatchObject({ phase: 'assembling', error: null, snapshot_kind: kind });
    await fixture.db.query('delete from feed_catalog');
  },
);

test('an export fails when the feed follows another server', async () => {
  await fixture.db.query("update feed_state set system_id = system_id || '0'");
  try {
    const row = await extracted(await fixture.addExport(acme, ['orders']));
    expect(row).toMatchObject({ status: 'failed', error: { code: 'feed_mismatch' } });
  } finally {
    await fixture.db.query(
      'update feed_state set system_id = (select system_identifier from pg_control_system())',
    );
  }
});
